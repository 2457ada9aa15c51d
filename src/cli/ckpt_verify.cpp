// zhgpt ckpt verify PATH...: is every byte of these checkpoints as it was written?
#include <filesystem>
#include <iostream>
#include <memory>

#include "cli/ckpt.h"
#include "zhgpt/error.h"
#include "zhgpt/formats.h"

namespace zhgpt::cli {
namespace {

struct VerifyArguments {
  std::vector<std::string> paths;
};

int verify(const VerifyArguments& arguments) {
  if (arguments.paths.empty()) throw ConfigError(tr(Msg::no_run_given, "ckpt verify"));
  std::int64_t files = 0, damaged = 0;
  const auto say = [&](const std::string& path, const std::string& damage) {
    std::cout << (damage.empty() ? tr(Msg::ckpt_valid, path) : damage) << "\n";
    ++files;
    damaged += !damage.empty();
  };
  for (const std::string& path : arguments.paths) {
    if (!std::filesystem::is_directory(path)) {
      const Validity validity = validate_checkpoint(path);
      say(path, validity.ok ? "" : validity.message);
      continue;
    }
    for (const CheckpointEntry& e : list_checkpoints(path)) say(path + "/" + e.name, e.damage);
  }
  if (files == 0) throw CheckpointError(tr(Msg::no_checkpoint_here, arguments.paths.front()));
  return static_cast<int>(damaged > 0 ? ExitCode::checkpoint : ExitCode::ok);
}

}  // namespace

void add_ckpt_verify(CLI::App& ckpt, Action& action) {
  auto a = std::make_shared<VerifyArguments>();
  CLI::App* verb = ckpt.add_subcommand("verify", tr(Msg::help_ckpt_verify));
  verb->add_option("PATH", a->paths, tr(Msg::help_ckpt_paths))->type_name("");
  verb->callback([a, &action] { action = [a] { return verify(*a); }; });
}

}  // namespace zhgpt::cli
