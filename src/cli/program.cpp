#include "cli/program.h"

#include <clocale>
#include <cstdlib>
#include <iostream>
#include <langinfo.h>
#include <new>
#include <string_view>

#include "cli/console.h"
#include "zhgpt/config.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt::cli {
namespace {

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

// Both --n-layer and --n_layer are understood: underscores in flag names become dashes. Values stay as they are.
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
std::string describe_extra(const CLI::App& app, const std::string& extra) {
  std::vector<std::string> known;
  if (extra.starts_with("-")) {
    for (const CLI::Option* option : app.get_options()) known.push_back("--" + option->get_single_name());
  } else {
    for (const CLI::App* sub : app.get_subcommands({})) known.push_back(sub->get_name());
  }
  const std::string nearest = nearest_name(extra.substr(0, extra.find('=')), known);
  return nearest.empty() ? tr(Msg::unexpected_argument, extra) : tr(Msg::unexpected_argument_hint, extra, nearest);
}

int usage_error(const std::string& text, const std::string& verb) {
  std::cerr << tr(Msg::error_prefix) << text << "\n" << tr(Msg::see_help, verb.empty() ? "zhgpt" : "zhgpt " + verb) << "\n";
  return static_cast<int>(ExitCode::config);
}

int parse_and_run(int argc, char** argv) {
  CLI::App app(tr(Msg::program_description), "zhgpt");
  Action action;
  app.set_version_flag("--version", "zhgpt " ZHGPT_VERSION)->group(tr(Msg::group_general))->description(tr(Msg::help_version));
  translate_help(app);
  std::string lang;
  app.add_option("--lang", lang, tr(Msg::help_lang))->type_name("zh|en")->group(tr(Msg::group_general));
  app.fallthrough();
  add_train(app, action);
  add_resume(app, action);
  add_sample(app, action);
  add_eval(app, action);
  add_inspect(app, action);
  add_doctor(app, action);
  for (CLI::App* sub : app.get_subcommands({})) {
    translate_help(*sub);
    sub->allow_extras();
  }
  app.allow_extras();

  std::vector<std::string> arguments = flags_with_dashes(argc, argv);
  if (arguments.empty()) {
    std::cerr << app.help();
    return static_cast<int>(ExitCode::config);
  }
  std::reverse(arguments.begin(), arguments.end());  // the order that CLI11 wants
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::Success& wanted) {  // --help, --version
    return app.exit(wanted, std::cout, std::cerr);
  } catch (const CLI::ParseError& error) {
    const auto subs = app.get_subcommands();
    return usage_error(tr(Msg::bad_usage, error.what()), subs.empty() ? "" : subs.front()->get_name());
  }
  if (!lang.empty() && lang != "zh" && lang != "en") {
    return usage_error(tr(Msg::not_a_choice, "lang", lang, "zh|en"), "");
  }
  const auto subs = app.get_subcommands();
  const CLI::App& at = subs.empty() ? app : *subs.front();
  std::vector<std::string> extras = app.remaining(true);
  std::erase(extras, "--");  // the mark that ends the flags is no argument
  if (!extras.empty()) return usage_error(describe_extra(at, extras.front()), subs.empty() ? "" : at.get_name());
  if (!action) {
    std::cerr << app.help();
    return static_cast<int>(ExitCode::config);
  }
  return action();
}

}  // namespace

int run_program(int argc, char** argv) {
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
