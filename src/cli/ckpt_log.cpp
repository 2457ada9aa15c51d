// zhgpt ckpt log DIR|FILE [--json]: where a checkpoint came from, the newest first.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>

#include "cli/ckpt.h"
#include "cli/table.h"
#include "zhgpt/error.h"

namespace zhgpt::cli {
namespace {

namespace fs = std::filesystem;

struct LogArguments {
  std::string path;
  bool json = false;
};

// The place of the file that was named, or of the newest whole one.
std::size_t start_of(const std::vector<CheckpointEntry>& entries, const std::string& path) {
  if (!fs::is_directory(path)) {
    const std::string name = fs::path(path).filename();
    const auto found = std::ranges::find(entries, name, &CheckpointEntry::name);
    if (found == entries.end()) Checkpoint::open(path);  // says why it is none
    if (!found->is_whole()) throw CheckpointError(found->damage);
    return static_cast<std::size_t>(found - entries.begin());
  }
  for (std::size_t i = entries.size(); i-- > 0;) {
    if (entries[i].is_whole()) return i;
  }
  throw CheckpointError(tr(Msg::no_checkpoint_here, path));
}

int log(const LogArguments& arguments) {
  if (arguments.path.empty()) throw ConfigError(tr(Msg::no_run_given, "ckpt log"));
  if (!fs::exists(arguments.path)) throw IoError(tr(Msg::no_such_path, arguments.path));
  const fs::path directory =
      fs::is_directory(arguments.path) ? arguments.path : fs::absolute(arguments.path).parent_path().string();
  const std::vector<CheckpointEntry> entries = list_checkpoints(directory);
  const std::vector<std::size_t> line = lineage(entries, start_of(entries, arguments.path));
  if (arguments.json) {
    Json out = Json::array();
    for (const std::size_t i : line) out.push_back(to_json(entries[i]));
    print(out);
    return 0;
  }
  for (const std::size_t i : line) {
    const CheckpointEntry& e = entries[i];
    std::cout << e.state_hash << "  " << e.name << "\n"
              << table({{"", tr(Msg::column_step), std::to_string(e.step)},
                        {"", tr(Msg::column_train_loss), loss_text(e.train_loss)},
                        {"", tr(Msg::column_val_loss), loss_text(e.val_loss)},
                        {"", tr(Msg::column_corpus), e.corpus.empty() ? "–" : e.corpus},
                        {"", tr(Msg::column_command), e.command.empty() ? "–" : e.command}},
                       "lll");
  }
  const std::string& before = entries[line.back()].parent;
  const bool is_here = std::ranges::find(entries, before, &CheckpointEntry::state_hash) != entries.end();
  std::cout << (before.empty() || is_here ? tr(Msg::ckpt_log_begins)
                                          : tr(Msg::ckpt_log_parent_missing, before))
            << "\n";
  return 0;
}

}  // namespace

void add_ckpt_log(CLI::App& ckpt, Action& action) {
  auto a = std::make_shared<LogArguments>();
  CLI::App* verb = ckpt.add_subcommand("log", tr(Msg::help_ckpt_log));
  verb->add_option("DIR|FILE", a->path, tr(Msg::help_run_argument))->type_name("");
  verb->add_flag("--json", a->json, tr(Msg::help_json))->group(tr(Msg::group_general));
  verb->callback([a, &action] { action = [a] { return log(*a); }; });
}

}  // namespace zhgpt::cli
