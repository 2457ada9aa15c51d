// zhgpt ckpt ls DIR [--json]: the checkpoints below a directory, each one verified.
#include <iostream>
#include <memory>

#include "cli/ckpt.h"
#include "cli/table.h"
#include "zhgpt/error.h"

namespace zhgpt::cli {
namespace {

struct LsArguments {
  std::string directory;
  bool json = false;
};

std::string count_text(std::int64_t count) {
  return count < 0 ? "–" : std::to_string(count);
}

std::string state_text(const CheckpointEntry& e) {
  if (!e.is_whole()) return tr(Msg::ckpt_damaged);
  return tr(e.inference_only ? Msg::ckpt_inference_only : Msg::ckpt_whole);
}

int ls(const LsArguments& arguments) {
  if (arguments.directory.empty()) throw ConfigError(tr(Msg::no_directory_given, "ckpt ls"));
  const std::vector<CheckpointEntry> entries = list_checkpoints(arguments.directory);
  std::int64_t bytes = 0;
  for (const CheckpointEntry& e : entries) bytes += e.bytes;
  if (arguments.json) {
    Json out{{"directory", arguments.directory}, {"bytes", bytes}, {"checkpoints", Json::array()}};
    for (const CheckpointEntry& e : entries) out["checkpoints"].push_back(to_json(e));
    print(out);
    return 0;
  }
  std::vector<std::vector<std::string>> rows{
      {tr(Msg::column_name), tr(Msg::column_step), tr(Msg::column_epoch), tr(Msg::column_val_loss),
       tr(Msg::column_size), tr(Msg::column_state), tr(Msg::column_pointers)}};
  for (const CheckpointEntry& e : entries) {
    rows.push_back({e.name, count_text(e.step), count_text(e.epoch), loss_text(e.val_loss),
                    size_text(e.bytes), state_text(e), joined(e.pointers, ", ")});
  }
  if (!entries.empty()) std::cout << table(rows, "lrrrrll");
  std::cout << tr(Msg::ckpt_total, entries.size(), size_text(bytes)) << "\n";
  return 0;
}

}  // namespace

void add_ckpt_ls(CLI::App& ckpt, Action& action) {
  auto a = std::make_shared<LsArguments>();
  CLI::App* verb = ckpt.add_subcommand("ls", tr(Msg::help_ckpt_ls));
  verb->add_option("DIR", a->directory, tr(Msg::help_ckpt_directory))->type_name("");
  verb->add_flag("--json", a->json, tr(Msg::help_json))->group(tr(Msg::group_general));
  verb->callback([a, &action] { action = [a] { return ls(*a); }; });
}

}  // namespace zhgpt::cli
