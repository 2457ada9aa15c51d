// zhgpt sample DIR|FILE, and the whole of a program with a model inside: text goes to stdout as whole
// characters, everything else to stderr.
#include <signal.h>

#include <filesystem>
#include <iostream>
#include <limits>
#include <memory>
#include <optional>

#include "cli/console.h"
#include "cli/loaded_model.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/prompt.h"
#include "cli/sampling_options.h"
#include "zhgpt/error.h"
#include "zhgpt/sampler.h"

namespace zhgpt::cli {
namespace {

struct SampleArguments {
  std::optional<Checkpoint> packed;  // instead of the two that follow
  std::string from_path;
  std::string which = "last";
  std::string prompt;
  std::int64_t max_characters = 200;
  std::int64_t num_samples = 1;
  std::int64_t seed = 1337;
  SamplingOptions options;
  bool no_interactive = false;
  std::string device = "auto";
  std::int64_t threads = 0;
  CLI::Option* prompt_option = nullptr;
};

void write_out(const std::string& text) {
  std::cout << text << std::flush;
  if (!std::cout) throw IoError(tr(Msg::stdout_closed));
}

// Writes the continuation; stops at the document's end, after max_characters, or on Ctrl-C.
void generate(LoadedModel& loaded, Generator& generator, const SampleArguments& arguments) {
  for (std::int64_t i = 0; i < arguments.max_characters && stop_signal.load() == 0; ++i) {
    const std::int32_t id = generator.next(arguments.options);
    if (id == kEndOfTextId) break;
    write_out(loaded.vocab.text(id));
  }
  write_out("\n");
}

int sample_once(LoadedModel& loaded, const SampleArguments& arguments) {
  Generator generator(*loaded.model);
  const std::vector<std::int32_t> prompt = encode_prompt(loaded.vocab, loaded.config.text, arguments.prompt);
  for (std::int64_t n = 0; n < arguments.num_samples && stop_signal.load() == 0; ++n) {
    if (n > 0) write_out("\n");
    write_out(arguments.prompt);
    generator.start(prompt, static_cast<std::uint64_t>(n));
    generate(loaded, generator, arguments);
  }
  return stop_signal.load() ? 128 + stop_signal.load() : 0;
}

// A prompt, a text, and again. Ctrl-C stops the text; Ctrl-D, or Ctrl-C at the prompt, leaves.
int sample_interactively(LoadedModel& loaded, const SampleArguments& arguments) {
  std::cerr << tr(Msg::interactive_hint) << "\n";
  Generator generator(*loaded.model);
  std::string line;
  for (std::uint64_t turn = 0;; ++turn) {
    std::cerr << "> " << std::flush;
    if (!std::getline(std::cin, line) || stop_signal.load() != 0) break;
    try {
      generator.start(encode_prompt(loaded.vocab, loaded.config.text, line), turn);
      write_out(line);
      generate(loaded, generator, arguments);
    } catch (const DataError& error) {  // a line that is not UTF-8 ends nothing
      std::cerr << error.what() << "\n";
    }
    if (stop_signal.load() == SIGINT) stop_signal.store(0);
  }
  std::cerr << "\n";
  return 0;
}

LoadedModel load(const SampleArguments& a) {
  if (a.packed) return LoadedModel(*a.packed, a.device, a.threads, 1);
  if (a.from_path.empty()) throw ConfigError(tr(Msg::no_run_given, "sample"));
  return LoadedModel(a.from_path, a.which, a.device, a.threads, 1);
}

int sample(SampleArguments arguments) {
  arguments.options.seed = static_cast<std::uint64_t>(arguments.seed);
  arguments.options.validate();
  LoadedModel loaded = load(arguments);
  const bool interactive =
      !arguments.no_interactive && arguments.prompt_option->count() == 0 && stdin_is_terminal();
  return interactive ? sample_interactively(loaded, arguments) : sample_once(loaded, arguments);
}

void add_options(CLI::App* verb, std::shared_ptr<SampleArguments> a, Action& action) {
  const std::string sampling = tr(Msg::group_sampling), general = tr(Msg::group_general);
  a->prompt_option =
      verb->add_option("-p,--prompt", a->prompt, tr(Msg::help_prompt))->type_name("TEXT")->group(sampling);
  add_integer(*verb, "-n,--max-chars", a->max_characters, 1, std::int64_t{1} << 40, Msg::help_max_characters)
      ->group(sampling);
  add_integer(*verb, "--num-samples", a->num_samples, 1, 1 << 24, Msg::help_num_samples)->group(sampling);
  add_sampling_flags(*verb, a->options);
  add_integer(*verb, "--seed", a->seed, 0, std::numeric_limits<std::int64_t>::max(), Msg::help_seed)
      ->group(sampling);
  verb->add_flag("--no-interactive", a->no_interactive, tr(Msg::help_no_interactive))->group(general);
  verb->add_option("--device", a->device, tr(Msg::help_device))->type_name("TEXT")->group(general);
  add_integer(*verb, "--threads", a->threads, 0, 1024, Msg::help_threads)->group(general);
  verb->callback([a, &action] { action = [a] { return sample(*a); }; });
}

}  // namespace

void add_sample(CLI::App& app, Action& action) {
  auto a = std::make_shared<SampleArguments>();
  CLI::App* verb = app.add_subcommand("sample", tr(Msg::help_sample));
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
