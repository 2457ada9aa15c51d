// zhgpt sample DIR|FILE: text goes to stdout as whole characters, everything else to stderr.
#include <signal.h>

#include <filesystem>
#include <iostream>
#include <memory>

#include "cli/console.h"
#include "cli/loaded_model.h"
#include "cli/program.h"
#include "zhgpt/error.h"
#include "zhgpt/sampler.h"

namespace zhgpt::cli {
namespace {

struct SampleArguments {
  std::string from_path;
  std::string which = "last";
  std::string prompt;
  std::int64_t max_characters = 200;
  std::int64_t num_samples = 1;
  SamplingOptions options;
  bool greedy = false;
  bool no_interactive = false;
  std::string device = "auto";
  int threads = 0;
  CLI::Option* prompt_option = nullptr;
};

void write_out(const std::string& text) {
  std::cout << text << std::flush;
  if (!std::cout) throw IoError(tr(Msg::stdout_closed));
}

// The prompt as the corpus was read: same normalisation. Characters that the model has never seen are named once.
std::vector<std::int32_t> encode_prompt(const LoadedModel& loaded, const std::string& prompt) {
  std::u32string unknown;
  std::vector<std::int32_t> ids = loaded.vocab.encode(loaded.normalized(prompt), &unknown);
  if (!unknown.empty()) {
    std::string names;
    for (char32_t character : unknown) names += (names.empty() ? "" : " ") + to_utf8(character);
    std::cerr << tr(Msg::unknown_in_prompt, names) << "\n";
  }
  return ids;
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
  const std::vector<std::int32_t> prompt = encode_prompt(loaded, arguments.prompt);
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
      generator.start(encode_prompt(loaded, line), turn);
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

int sample(SampleArguments arguments) {
  if (arguments.from_path.empty()) throw ConfigError(tr(Msg::no_run_given, "sample"));
  if (arguments.greedy) arguments.options.temperature = 0;
  arguments.options.validate();
  LoadedModel loaded(arguments.from_path, arguments.which, arguments.device, arguments.threads, 1);
  const bool interactive = !arguments.no_interactive && arguments.prompt_option->count() == 0 && stdin_is_terminal();
  return interactive ? sample_interactively(loaded, arguments) : sample_once(loaded, arguments);
}

}  // namespace

void add_sample(CLI::App& app, Action& action) {
  auto a = std::make_shared<SampleArguments>();
  CLI::App* verb = app.add_subcommand("sample", tr(Msg::help_sample));
  verb->add_option("DIR|FILE", a->from_path, tr(Msg::help_run_argument))->type_name("");
  const auto add = [&](const char* name, auto& value, Msg help, const char* type) {
    CLI::Option* option = verb->add_option(name, value, tr(help))->type_name(type)->group(tr(Msg::group_sampling));
    option->capture_default_str();
    return option;
  };
  a->prompt_option = add("-p,--prompt", a->prompt, Msg::help_prompt, "TEXT");
  add("-n,--max-chars", a->max_characters, Msg::help_max_characters, "N")->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  add("--num-samples", a->num_samples, Msg::help_num_samples, "N")->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 24));
  add("--temperature,--temp", a->options.temperature, Msg::help_temperature, "X");
  add("--top-k", a->options.top_k, Msg::help_top_k, "N");
  add("--top-p", a->options.top_p, Msg::help_top_p, "X");
  add("--min-p", a->options.min_p, Msg::help_min_p, "X");
  add("--repeat-penalty", a->options.repeat_penalty, Msg::help_repeat_penalty, "X");
  add("--seed", a->options.seed, Msg::help_seed, "N")->check(CLI::NonNegativeNumber);  // or -1 would wrap
  verb->add_flag("--greedy", a->greedy, tr(Msg::help_greedy))->group(tr(Msg::group_sampling));
  verb->add_flag("--no-interactive", a->no_interactive, tr(Msg::help_no_interactive))->group(tr(Msg::group_general));
  verb->add_option("--from", a->which, tr(Msg::help_from))->type_name("last|best|epoch:N")->default_str(a->which)->group(tr(Msg::group_general));
  verb->add_option("--device", a->device, tr(Msg::help_device))->type_name("TEXT")->group(tr(Msg::group_general));
  verb->add_option("--threads", a->threads, tr(Msg::help_threads))->type_name("N")->check(CLI::Range(0, 1024))->group(tr(Msg::group_general));
  verb->callback([a, &action] { action = [a] { return sample(*a); }; });
}

}  // namespace zhgpt::cli
