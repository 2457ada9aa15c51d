// The summary of a checkpoint: NAME.json beside NAME.bin, to be read by people, with `cat`, and by scripts.
//
// Nothing of a run depends on it: what a run goes on from is the checkpoint alone. It is the one place where
// a time is recorded.
#pragma once

#include <cstdint>
#include <string>

#include "zhgpt/checkpoint.h"

namespace zhgpt {

std::string summary_path(const std::string& checkpoint_path);  // NAME.bin -> NAME.json

// Whether the file is there and is a summary, and not something else of that name. Never throws.
bool is_summary(const std::string& path) noexcept;

// Writes the summary of a snapshot that was saved as `checkpoint_path`. Throws IoError.
void write_summary(const std::string& checkpoint_path, const Snapshot& snapshot, std::uint64_t state_hash,
                   double learning_rate);

}  // namespace zhgpt
