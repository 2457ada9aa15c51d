// zhgpt ckpt tag DIR|FILE [NAME] [--deploy] [--force]: a checkpoint that stays, under a name of its own.
#include <filesystem>
#include <iostream>
#include <memory>

#include "cli/ckpt.h"
#include "train/versions.h"
#include "zhgpt/error.h"
#include "zhgpt/training_run.h"

namespace zhgpt::cli {
namespace {

namespace fs = std::filesystem;

struct TagArguments {
  std::string path, name;
  std::string which = "last";
  bool deploy = false, force = false;
};

int tag(const TagArguments& arguments) {
  if (arguments.path.empty()) throw ConfigError(tr(Msg::no_run_given, "ckpt tag"));
  if (!fs::exists(arguments.path)) throw IoError(tr(Msg::no_such_path, arguments.path));
  const std::string directory =
      fs::is_directory(arguments.path) ? arguments.path : run_directory_of(arguments.path);
  const std::string name = arguments.name.empty() ? version_name_of_now() : arguments.name;
  const Checkpoint checkpoint = open_run_checkpoint(arguments.path, arguments.which);
  const VersionKind kind = arguments.deploy ? VersionKind::deployed : VersionKind::whole;
  const std::string path = save_version(directory, checkpoint, name, kind, arguments.force);

  const std::string size = size_text(static_cast<std::int64_t>(fs::file_size(path)));
  if (arguments.deploy) {
    std::cout << tr(Msg::version_deployed, path, size, size_text(checkpoint.file_bytes()), checkpoint.step())
              << "\n";
  } else {
    std::cout << tr(Msg::version_saved, name, path, size, checkpoint.step()) << "\n";
  }
  return 0;
}

}  // namespace

void add_ckpt_tag(CLI::App& ckpt, Action& action) {
  auto a = std::make_shared<TagArguments>();
  CLI::App* verb = ckpt.add_subcommand("tag", tr(Msg::help_ckpt_tag));
  verb->add_option("DIR|FILE", a->path, tr(Msg::help_run_argument))->type_name("");
  verb->add_option("NAME", a->name, tr(Msg::help_ckpt_name))->type_name("");
  verb->add_option("--from", a->which, tr(Msg::help_from))
      ->type_name("last|best|epoch:N|v:NAME")
      ->default_str(a->which)
      ->group(tr(Msg::group_general));
  verb->add_flag("--deploy", a->deploy, tr(Msg::help_ckpt_deploy))->group(tr(Msg::group_general));
  verb->add_flag("--force", a->force, tr(Msg::help_ckpt_force))->group(tr(Msg::group_general));
  verb->callback([a, &action] { action = [a] { return tag(*a); }; });
}

}  // namespace zhgpt::cli
