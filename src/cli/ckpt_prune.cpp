// zhgpt ckpt prune DIR [--keep-last N] [--keep-best K] [--dry-run]: makes room in a run's directory.
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>

#include "cli/ckpt.h"
#include "cli/options.h"
#include "train/summary.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/error.h"

namespace zhgpt::cli {
namespace {

namespace fs = std::filesystem;

struct PruneArguments {
  std::string directory;
  std::int64_t keep_last = 3, keep_best = 1;
  bool dry_run = false;
};

// The summary that was written with a checkpoint, NAME.bin or, set aside, NAME.bin.old; a checkpoint in JSON is none.
std::optional<std::string> summary_of(const std::string& checkpoint) {
  const std::string aside = checkpoint.ends_with(".old") ? ".old" : "";
  const std::string path = summary_path(checkpoint.substr(0, checkpoint.size() - aside.size())) + aside;
  return is_summary(path) ? std::optional(path) : std::nullopt;
}

int prune(const PruneArguments& arguments) {
  if (arguments.directory.empty()) throw ConfigError(tr(Msg::no_directory_given, "ckpt prune"));
  std::optional<DirectoryLock> lock;
  if (!arguments.dry_run) lock.emplace(arguments.directory);
  const std::vector<CheckpointEntry> entries = list_checkpoints(arguments.directory);
  const std::vector<std::size_t> gone = prunable(entries, arguments.keep_last, arguments.keep_best);

  std::int64_t files = 0, bytes = 0;
  const auto remove = [&](const std::string& path) {
    const auto size = static_cast<std::int64_t>(fs::file_size(path));
    if (!arguments.dry_run) fs::remove(path);
    std::cout << tr(arguments.dry_run ? Msg::ckpt_would_remove : Msg::ckpt_removed, path, size) << "\n";
    ++files;
    bytes += size;
  };
  for (const std::size_t i : gone) {
    const std::string path = arguments.directory + "/" + entries[i].name;
    if (const auto summary = summary_of(path)) remove(*summary);
    remove(path);
  }
  for (const CheckpointEntry& e : entries) {
    if (!e.is_whole()) std::cerr << tr(Msg::ckpt_left_damaged, arguments.directory + "/" + e.name) << "\n";
  }
  std::cout << tr(arguments.dry_run ? Msg::ckpt_would_prune : Msg::ckpt_pruned, files, size_text(bytes),
                  entries.size() - gone.size())
            << "\n";
  return 0;
}

}  // namespace

void add_ckpt_prune(CLI::App& ckpt, Action& action) {
  auto a = std::make_shared<PruneArguments>();
  CLI::App* verb = ckpt.add_subcommand("prune", tr(Msg::help_ckpt_prune));
  verb->add_option("DIR", a->directory, tr(Msg::help_ckpt_directory))->type_name("");
  add_integer(*verb, "--keep-last", a->keep_last, 1, 1'000'000, Msg::help_ckpt_keep_last)
      ->group(tr(Msg::group_general));
  add_integer(*verb, "--keep-best", a->keep_best, 0, 1'000'000, Msg::help_ckpt_keep_best)
      ->group(tr(Msg::group_general));
  verb->add_flag("--dry-run", a->dry_run, tr(Msg::help_ckpt_dry_run))->group(tr(Msg::group_general));
  verb->callback([a, &action] { action = [a] { return prune(*a); }; });
}

}  // namespace zhgpt::cli
