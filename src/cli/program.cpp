#include "cli/program.h"

#include <langinfo.h>
#include <algorithm>
#include <cctype>
#include <clocale>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <new>
#include <string_view>

#include "cli/console.h"
#include "text/utf8.h"
#include "zhgpt/config.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"
#include "zhgpt/packed_program.h"

namespace zhgpt::cli {
namespace {

std::string called_with;

std::string quoted_for_a_shell(const std::string& argument) {
  const auto is_plain = [](unsigned char c) {
    return std::isalnum(c) || c >= 0x80 ||
           std::string_view("_-./:=,+@%").find(static_cast<char>(c)) != std::string_view::npos;
  };
  if (!argument.empty() && std::all_of(argument.begin(), argument.end(), is_plain)) return argument;
  std::string quoted = "'";
  for (char c : argument) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

// Checkpoints take no other text: what is no UTF-8 or would end the line becomes U+FFFD.
std::string one_line_of_utf8(std::string_view text) {
  constexpr std::size_t kMostCharacters = 1000;
  std::u32string characters;
  while (!text.empty()) {
    const DecodeStep step = decode_utf8(text, true, characters);
    if (step.invalid > 0) characters += kReplacementCharacter;
    text.remove_prefix(step.consumed + step.invalid);
  }
  if (characters.size() > kMostCharacters) {
    characters.resize(kMostCharacters);
    characters += U'…';
  }
  std::string line;
  for (char32_t c : characters) append_utf8(line, c < 0x20 ? kReplacementCharacter : c);
  return line;
}

// Line editors and width functions need a UTF-8 locale; minimal systems often start without one.
void set_up_locale() {
  std::setlocale(LC_ALL, "");
  if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
  std::setlocale(LC_NUMERIC, "C");  // numbers look the same everywhere
}

// The language must be known before the help texts are built, so it is looked for ahead of the parser.
void choose_language(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    std::string_view argument = argv[i];
    if (argument == "--lang" && i + 1 < argc) return set_language(language_of_locale(argv[i + 1]));
    if (argument.starts_with("--lang=")) return set_language(language_of_locale(argument.substr(7)));
  }
  for (const char* name : {"LC_ALL", "LC_MESSAGES", "LANG"}) {
    const char* value = std::getenv(name);
    if (value && *value) return set_language(language_of_locale(value));
  }
}

// Both --n-layer and --n_layer are understood: underscores in flag names become dashes. Values stay as they
// are.
std::vector<std::string> flags_with_dashes(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (std::string& argument : arguments) {
    if (argument == "--") break;
    if (!argument.starts_with("--")) continue;
    const std::size_t end = std::min(argument.find('='), argument.size());
    std::replace(argument.begin(), argument.begin() + static_cast<std::ptrdiff_t>(end), '_', '-');
  }
  return arguments;
}

void translate_help(CLI::App& app) {
  auto formatter = std::make_shared<CLI::Formatter>();
  formatter->column_width(38);
  if (language() == Lang::zh) {
    formatter->label("Usage", "用法");
    formatter->label("Options", "选项");
    formatter->label("OPTIONS", "选项");
    formatter->label("Positionals", "参数");
    formatter->label("Subcommands", "命令");
    formatter->label("SUBCOMMAND", "命令");
    formatter->label("SUBCOMMANDS", "命令");
    formatter->label("REQUIRED", "必填");
  }
  app.formatter(formatter);
  app.set_help_flag("-h,--help", tr(Msg::help_help))->group(tr(Msg::group_general));
}

// The first word that no option or verb took, with the nearest name that exists.
std::string describe_extra(const CLI::App& app, const CLI::App& verb, const std::string& extra) {
  std::vector<std::string> known;
  if (extra.starts_with("-")) {
    for (const CLI::App* at : {&app, &verb}) {
      for (const CLI::Option* option : at->get_options()) {
        for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
      }
    }
  } else {
    for (const CLI::App* sub : verb.get_subcommands({})) known.push_back(sub->get_name());
  }
  const std::string nearest = nearest_name(extra.substr(0, extra.find('=')), known);
  return nearest.empty() ? tr(Msg::unexpected_argument, extra)
                         : tr(Msg::unexpected_argument_hint, extra, nearest);
}

// What CLI11 refused, of which it gives but an English sentence. Since numbers are read elsewhere, three
// kinds are left, and each shows in the options or in the arguments.
std::string describe_misuse(const CLI::App& app, const CLI::App& verb,
                            const std::vector<std::string>& arguments) {
  for (const CLI::App* at : {&app, &verb}) {
    for (const CLI::Option* option : at->get_options()) {
      const bool is_flag = option->get_expected_max() == 0;
      if (!is_flag && option->count() > static_cast<std::size_t>(option->get_expected_max())) {
        return tr(Msg::flag_repeated, option->get_name());
      }
    }
  }
  const auto find = [&](const std::string& name) {
    const CLI::Option* option = verb.get_option_no_throw(name);
    return option ? option : app.get_option_no_throw(name);
  };
  for (const std::string& argument : arguments) {
    const std::string name = argument.substr(0, argument.find('='));
    const CLI::Option* option = find(name);
    if (option && option->get_expected_max() == 0 && name != argument) return tr(Msg::flag_with_value, name);
  }
  const std::string last = arguments.back().substr(0, arguments.back().find('='));
  const CLI::Option* option = find(last);
  return tr(Msg::flag_without_value, last, option ? option->get_type_name() : "");
}

// As it is typed: "zhgpt ckpt ls".
std::string full_name(const CLI::App& verb) {
  const CLI::App* parent = verb.get_parent();
  return (parent ? full_name(*parent) + " " : "") + verb.get_name();
}

int usage_error(const std::string& text, const CLI::App& verb) {
  std::cerr << tr(Msg::error_prefix) << text << "\n" << tr(Msg::see_help, full_name(verb)) << "\n";
  return static_cast<int>(ExitCode::config);
}

// What all verbs share, also those of a verb.
void prepare_verbs(CLI::App& app) {
  for (CLI::App* verb : app.get_subcommands({})) {
    translate_help(*verb);
    verb->allow_extras();
    for (CLI::Option* option : verb->get_options()) {
      if (option->get_expected_max() == 0) option->disable_flag_override();  // no --json=false
    }
    prepare_verbs(*verb);
  }
  app.require_subcommand(0, 1);  // after a verb, another one's name is an argument
}

const CLI::App& chosen_verb(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app : chosen_verb(*chosen.front());
}

void add_verbs(CLI::App& app, Action& action) {
  add_train(app, action);
  add_plan(app, action);
  add_resume(app, action);
  add_sample(app, action);
  add_eval(app, action);
  add_report(app, action);
  add_inspect(app, action);
  add_import(app, action);
  add_export(app, action);
  add_convert(app, action);
  add_ckpt(app, action);
  add_resume_check(app, action);
  add_split(app, action);
  add_merge(app, action);
  add_run_split(app, action);
  add_pack(app, action);
  add_doctor(app, action);
  add_selftest(app, action);
  add_bench(app, action);
}

int parse_and_run(int argc, char** argv) {
  const std::optional<Checkpoint> packed = packed_model();
  CLI::App app(tr(packed ? Msg::help_packed : Msg::program_description),
               packed ? std::filesystem::path(argv[0]).filename().string() : "zhgpt");
  Action action;
  app.set_version_flag("--version", "zhgpt " ZHGPT_VERSION)
      ->group(tr(Msg::group_general))
      ->description(tr(Msg::help_version));
  translate_help(app);
  std::string lang;
  app.add_option("--lang", lang, tr(Msg::help_lang))->type_name("zh|en")->group(tr(Msg::group_general));
  app.fallthrough();
  if (packed) {
    make_sampler(app, action, *packed);
  } else {
    add_verbs(app, action);
  }
  prepare_verbs(app);
  app.allow_extras();
  const auto verb = [&app]() -> const CLI::App& { return chosen_verb(app); };

  std::vector<std::string> arguments = flags_with_dashes(argc, argv);
  if (arguments.empty() && !packed) {
    std::cerr << app.help();
    return static_cast<int>(ExitCode::config);
  }
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // the order that CLI11 wants
  } catch (const CLI::Success& wanted) {                                        // --help, --version
    return app.exit(wanted, std::cout, std::cerr);
  } catch (const CLI::ParseError&) {
    return usage_error(describe_misuse(app, verb(), arguments), verb());
  }
  if (!lang.empty() && lang != "zh" && lang != "en") {
    return usage_error(tr(Msg::not_a_choice, "lang", lang, "zh|en"), app);
  }
  std::vector<std::string> extras = app.remaining(true);
  std::erase(extras, "--");  // the mark that ends the flags is no argument
  if (!extras.empty()) return usage_error(describe_extra(app, verb(), extras.front()), verb());
  if (!action) {  // no verb, or one that only stands before others
    std::cerr << verb().help(verb().get_parent() ? full_name(*verb().get_parent()) : "");
    return static_cast<int>(ExitCode::config);
  }
  return action();
}

}  // namespace

const std::string& command_line() {
  return called_with;
}

int run_program(int argc, char** argv) {
  std::string words = "zhgpt";
  for (int i = 1; i < argc; ++i) words += " " + quoted_for_a_shell(argv[i]);
  called_with = one_line_of_utf8(words);
  set_up_locale();
  choose_language(argc, argv);
  install_signal_handlers();
  const auto fail = [](ExitCode code, const std::string& text) {
    end_progress_line();
    std::cerr << tr(Msg::error_prefix) << text << "\n";
    return static_cast<int>(code);
  };
  try {
    const int code = parse_and_run(argc, argv);
    if (!std::cout.flush()) throw IoError(tr(Msg::stdout_closed));  // the answer did not arrive
    return code;
  } catch (const Interrupted& interrupted) {
    end_progress_line();
    std::cerr << tr(Msg::interrupted_before_training) << "\n";
    return 128 + interrupted.signal;
  } catch (const Error& error) {
    return fail(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return fail(ExitCode::memory, tr(Msg::program_out_of_memory));
  } catch (const std::exception& error) {
    return fail(ExitCode::other, error.what());
  }
}

}  // namespace zhgpt::cli
