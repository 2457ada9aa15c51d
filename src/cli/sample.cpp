// zhgpt sample DIR|FILE, and the whole of a program with a model inside: text goes to stdout as whole
// characters, everything else to stderr.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <limits>
#include <memory>
#include <optional>

#include "cli/chat.h"
#include "cli/console.h"
#include "cli/loaded_model.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/sample_texts.h"
#include "cli/sampling_options.h"
#include "zhgpt/error.h"

namespace zhgpt::cli {
namespace {

struct SampleArguments {
  std::optional<Checkpoint> packed;  // instead of the two that follow
  std::string from_path;
  std::string which = "last";
  std::string prompt, prompt_file;
  std::int64_t num_samples = 1;
  std::int64_t seed = 1337;
  WriteRequest request;
  bool no_interactive = false;
  bool json = false;
  std::string device = "auto";
  std::string weights = "f32";
  std::int64_t threads = 0;
  CLI::Option* prompt_option = nullptr;
};

std::unique_ptr<LoadedModel> open(const SampleArguments& a, const std::string& path,
                                  const std::string& which) {
  auto loaded = std::make_unique<LoadedModel>(path, which, a.device, a.threads, 1);
  loaded->weights = weight_type_of(a.weights);
  return loaded;
}

std::unique_ptr<LoadedModel> load(const SampleArguments& a) {
  if (a.packed) {
    auto loaded = std::make_unique<LoadedModel>(*a.packed, a.device, a.threads, 1);
    loaded->weights = weight_type_of(a.weights);
    return loaded;
  }
  if (a.from_path.empty()) throw ConfigError(tr(Msg::no_run_given, "sample"));
  return open(a, a.from_path, a.which);
}

// Another model for the loop: a checkpoint of the run that the present one is from, or a file.
std::unique_ptr<LoadedModel> open_another(const SampleArguments& a, const std::string& which) {
  namespace fs = std::filesystem;
  const bool of_run = which == "latest" || which == "last" || which == "best" ||
                      which.starts_with("epoch:") || which.starts_with("v:");
  if (!of_run) return open(a, which, "last");
  if (a.packed) throw ConfigError(tr(Msg::chat_load_needs_file, which));
  fs::path directory = a.from_path;
  if (!fs::is_directory(directory)) directory = fs::absolute(directory).parent_path();
  return open(a, directory.string(), which == "latest" ? "last" : which);
}

// Whether something was put into standard input for us to read: a pipe or a file, but not the terminal, nor
// the /dev/null of services.
bool stdin_has_lines() {
  struct stat about {};
  return fstat(STDIN_FILENO, &about) == 0 && (S_ISFIFO(about.st_mode) || S_ISSOCK(about.st_mode) ||
                                              (S_ISREG(about.st_mode) && about.st_size > 0));
}

int sample(SampleArguments a) {
  a.request.options.seed = static_cast<std::uint64_t>(a.seed);
  a.request.options.validate();
  weight_type_of(a.weights);  // before anything is read
  const bool asked = a.prompt_option->count() > 0;
  if (asked && !a.prompt_file.empty()) throw ConfigError(tr(Msg::prompts_twice));
  std::ifstream file;
  if (!a.prompt_file.empty()) {
    file.open(a.prompt_file);
    if (!file) throw IoError(tr(Msg::no_such_path, a.prompt_file));
  }
  std::unique_ptr<LoadedModel> loaded = load(a);
  const bool may_read = !asked && !a.no_interactive && !file.is_open();
  if (may_read && stdin_is_terminal() && !a.json) {
    const ModelOpener open = [&a](const std::string& which) { return open_another(a, which); };
    return Chat(std::move(loaded), open, a.request).run();
  }
  a.request.log_probabilities = a.json;
  TextWriter writer(*loaded, a.request, a.num_samples,
                    a.json ? json_lines(*loaded, a.request.options.seed) : TextWriter::Take());
  if (file.is_open()) {
    std::filesystem::is_regular_file(a.prompt_file) ? writer.write_file(file, a.prompt_file)
                                                    : writer.write_lines(file);
  } else if (may_read && stdin_has_lines()) {
    writer.write_lines(std::cin);
  } else {
    writer.write(a.prompt);
  }
  return stop_signal.load() ? 128 + stop_signal.load() : 0;
}

void add_options(CLI::App* verb, std::shared_ptr<SampleArguments> a, Action& action) {
  const std::string sampling = tr(Msg::group_sampling), general = tr(Msg::group_general);
  a->prompt_option =
      verb->add_option("-p,--prompt", a->prompt, tr(Msg::help_prompt))->type_name("TEXT")->group(sampling);
  add_integer(*verb, "-n,--max-chars", a->request.max_characters, 1, std::int64_t{1} << 40,
              Msg::help_max_characters)
      ->group(sampling);
  add_integer(*verb, "--num-samples", a->num_samples, 1, 1 << 24, Msg::help_num_samples)->group(sampling);
  add_sampling_flags(*verb, a->request.options);
  add_integer(*verb, "--seed", a->seed, 0, std::numeric_limits<std::int64_t>::max(), Msg::help_seed)
      ->group(sampling);
  verb->add_option("--prompt-file", a->prompt_file, tr(Msg::help_prompt_file))
      ->type_name("FILE")
      ->group(sampling);
  verb->add_option("--stop", a->request.stop_texts, tr(Msg::help_stop_text))
      ->type_name("TEXT")
      ->allow_extra_args(false)
      ->group(sampling);
  verb->add_flag("--json", a->json, tr(Msg::help_sample_json))->group(general);
  verb->add_flag("--no-interactive", a->no_interactive, tr(Msg::help_no_interactive))->group(general);
  verb->add_option("--device", a->device, tr(Msg::help_device))->type_name("TEXT")->group(general);
  verb->add_option("--weights", a->weights, tr(Msg::help_weights))
      ->type_name("f32|bf16|int8")
      ->group(general);
  add_integer(*verb, "--threads", a->threads, 0, 1024, Msg::help_threads)->group(general);
  verb->callback([a, &action] { action = [a] { return sample(*a); }; });
}

}  // namespace

void add_sample(CLI::App& app, Action& action) {
  auto a = std::make_shared<SampleArguments>();
  CLI::App* verb = app.add_subcommand("sample", tr(Msg::help_sample))->alias("chat");
  verb->add_option("DIR|FILE", a->from_path, tr(Msg::help_run_argument))->type_name("");
  add_options(verb, a, action);
  verb->add_option("--from", a->which, tr(Msg::help_from))
      ->type_name("last|best|epoch:N|v:NAME")
      ->default_str(a->which)
      ->group(tr(Msg::group_general));
}

void make_sampler(CLI::App& app, Action& action, const Checkpoint& model) {
  auto a = std::make_shared<SampleArguments>();
  a->packed = model;
  add_options(&app, a, action);
}

}  // namespace zhgpt::cli
