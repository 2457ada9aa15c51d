// The checkpoints below a directory: what is there, where it came from, what may go.
//
// Every file is read and proven whole; nothing is judged by its name or its time. Of a file that is damaged
// only what its header says is told.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "zhgpt/checkpoint.h"

namespace zhgpt {

struct CheckpointEntry {
  std::string name;    // path below the directory, e.g. "epoch_000001.bin" or "versions/v1.bin"
  std::string damage;  // why it cannot be read, in the language spoken; empty: it is whole
  std::int64_t bytes = 0;
  std::int64_t step = -1;             // -1: not known
  std::vector<std::string> pointers;  // "latest", "best": what names this file

  // Of whole ones. Empty text, -1 and NaN: not known, as in files of older programs.
  std::int64_t epoch = -1;
  double train_loss = std::numeric_limits<double>::quiet_NaN();
  double val_loss = std::numeric_limits<double>::quiet_NaN();  // nats, of just this state
  std::string state_hash, parent;                              // 16 hexadecimal digits
  std::string corpus, command;                                 // fingerprint of the corpus; how it was made
  bool inference_only = false;

  bool is_whole() const { return damage.empty(); }
};

// Every checkpoint file in the directory and below it, of all formats by their extensions (.json only when it
// says that it is one) and those set aside as NAME.bin.old; by step, those of one step by name. Links are not
// followed, hidden names not looked at. Throws IoError when there is no such directory.
std::vector<CheckpointEntry> list_checkpoints(const std::string& directory);

// From `entries[from]` back to its parent, the parent's parent and so on, as far as they are among the
// entries and whole: their places, beginning with `from`. Of several files with one state the first is taken.
std::vector<std::size_t> lineage(const std::vector<CheckpointEntry>& entries, std::size_t from);

// What a run would not miss: the checkpoints in the directory itself that a run named so (epoch_*, step_*),
// all but the newest `keep_last`, the `keep_best` with the smallest validation loss (of equal ones the later)
// and those that a pointer names; and what was set aside. Damaged ones count for nothing and are left to
// their owner; versions/ and deployed/ are other directories. Returns their places.
std::vector<std::size_t> prunable(const std::vector<CheckpointEntry>& entries, std::int64_t keep_last,
                                  std::int64_t keep_best);

}  // namespace zhgpt
