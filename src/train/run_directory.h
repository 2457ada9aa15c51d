// The names in a run directory, and keeping it tidy.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "zhgpt/atomic_file.h"
#include "zhgpt/checkpoint.h"

namespace zhgpt {

std::string epoch_file_name(std::int64_t epoch);  // epoch_000001.bin
std::string step_file_name(std::int64_t step);    // step_00000500.bin
std::string sample_heading(std::int64_t step);    // the line above a sample in samples.txt
std::int64_t headed_step(std::string_view line);  // the step in such a line; -1: it is none
std::string json_number(double value);            // null when it is not finite

// A directory on its way to being a new run's: created, proven writable, locked. Unless `keep` is called, all
// that a start makes there is removed again, the directories too, so that one that fails leaves nothing
// behind.
class NewRunDirectory {
 public:
  explicit NewRunDirectory(const std::string& directory);  // throws IoError, BusyError
  ~NewRunDirectory();
  void keep() { made_files_.clear(); }

 private:
  struct MissingDirectories {
    explicit MissingDirectories(const std::string& directory);
    ~MissingDirectories();           // removes those that are there by now, and empty
    std::vector<std::string> paths;  // innermost first
  };
  MissingDirectories missing_;
  std::optional<DirectoryLock> lock_;
  std::vector<std::string> made_files_;  // paths
};

// Removes what metrics.jsonl and samples.txt say of steps after `step`: a run resumed there says it again.
void cut_logs_after(const std::string& directory, std::int64_t step);

// The checkpoint of this run that was saved after `step` steps: its name in the directory, "" when there is
// none.
std::string checkpoint_at(const std::string& directory, const RunId& run, std::int64_t step);

// Renames the checkpoints of this run that come after `step`, and their summaries, to NAME.old: a run that
// goes back there has other events from then on, and they are no part of it. Returns how many checkpoints.
std::int64_t set_aside_after(const std::string& directory, const RunId& run, std::int64_t step);

// Whether a run gives this name to a checkpoint: epoch_000001.bin, step_00000500.bin.
bool is_checkpoint_name(std::string_view name);

// The file name that a pointer (path) holds; "" when there is no such pointer.
std::string read_pointer(const std::string& path);

// The checkpoint of this run to go back to from trouble: the newest that the run saved by its own plan, not
// where somebody stopped it, and that at least one good step came after, or else the newest up to and with
// `whole_step`, the last good one. Damaged files are passed over with a note; nothing when there is none.
std::optional<Checkpoint> checkpoint_before_trouble(const std::string& directory, const RunId& run,
                                                    std::int64_t whole_step, std::vector<std::string>* notes);

// Makes `latest` or `best` name a file; "" removes the pointer. Throws IoError.
void write_pointer(const std::string& directory, const char* pointer, const std::string& name);

// Which checkpoints of a run stay. One goes only when no rule holds it.
struct KeepRules {
  std::int64_t newest = 1;                        // so many
  std::vector<std::int64_t> ranking;              // steps, the best first:
  std::int64_t best = 0;                          // so many of those that are there
  std::function<bool(std::int64_t step)> always;  // those for which this holds
  bool newest_is_planned = true;                  // otherwise the newest that the run planned stays:
                                                  // the run may have to go back to it
};

// Removes the checkpoints of this run that no rule keeps, the oldest first, with their summaries; never the
// one that `best` names. Touches only files with our names whose header carries this run's id. Never throws:
// an old checkpoint too many is no failure.
void remove_old_checkpoints(const std::string& directory, const RunId& run, const KeepRules& rules) noexcept;

// Whether the directory holds a checkpoint by name.
bool has_checkpoints(const std::string& directory);

}  // namespace zhgpt
