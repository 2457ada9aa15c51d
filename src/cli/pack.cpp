// zhgpt pack DIR|FILE -o PROGRAM: one program with the model inside.
#include <filesystem>
#include <iostream>
#include <memory>

#include "cli/console.h"
#include "cli/options.h"
#include "cli/program.h"
#include "zhgpt/error.h"
#include "zhgpt/packed_program.h"
#include "zhgpt/trainer.h"
#include "zhgpt/training_run.h"

namespace zhgpt::cli {
namespace {

struct PackArguments {
  std::string from_path, which = "last", to;
  std::int64_t max_mb = 512;
  bool overwrite = false;
};

int pack(const PackArguments& arguments) {
  namespace fs = std::filesystem;
  if (arguments.from_path.empty()) throw ConfigError(tr(Msg::no_run_given, "pack"));
  if (arguments.to.empty()) throw ConfigError(tr(Msg::pack_no_output));
  if (!fs::exists(arguments.from_path)) throw IoError(tr(Msg::no_such_path, arguments.from_path));
  const Checkpoint model = open_run_checkpoint(arguments.from_path, arguments.which);
  config_of(model);  // that it is one, and no part of one
  pack_program(arguments.to, model, arguments.max_mb * 1'000'000, arguments.overwrite);
  const std::string call = arguments.to.find('/') == std::string::npos ? "./" + arguments.to : arguments.to;
  std::cout << tr(Msg::packed_into, arguments.to, model.path(),
                  fixed(static_cast<double>(fs::file_size(arguments.to)) / 1e6, 1), call)
            << "\n";
  return 0;
}

}  // namespace

void add_pack(CLI::App& app, Action& action) {
  auto a = std::make_shared<PackArguments>();
  CLI::App* verb = app.add_subcommand("pack", tr(Msg::help_pack));
  const std::string general = tr(Msg::group_general);
  verb->add_option("DIR|FILE", a->from_path, tr(Msg::help_run_argument))->type_name("");
  verb->add_option("-o,--output", a->to, tr(Msg::help_pack_output))->type_name("PROGRAM")->group(general);
  add_integer(*verb, "--max-mb", a->max_mb, 1, 1'000'000, Msg::help_pack_max_mb)->group(general);
  verb->add_flag("--overwrite", a->overwrite, tr(Msg::help_parts_overwrite))->group(general);
  verb->add_option("--from", a->which, tr(Msg::help_from))
      ->type_name("last|best|epoch:N")
      ->default_str(a->which)
      ->group(general);
  verb->callback([a, &action] { action = [a] { return pack(*a); }; });
}

}  // namespace zhgpt::cli
