// Named versions of a run's checkpoints, which no rotation ever removes.
//
//   DIR/versions/NAME.bin   a copy of the whole state; DIR/versions/latest names the one made last
//   DIR/deployed/NAME.bin   for inference only: as `zhgpt convert --inference-only` makes it,
//                           with its `parent` in progress
#pragma once

#include <string>

#include "zhgpt/checkpoint.h"

namespace zhgpt {

enum class VersionKind { whole, deployed };

std::string version_name_of_now();  // v_YYYYmmdd_HHMMSS, local time

// Writes a version beside the others of `directory`, reads it back and compares. Returns its path. Throws
// ConfigError for a name that is none or is taken, unless `force`; IoError, BusyError, CheckpointError.
std::string save_version(const std::string& directory, const Checkpoint& from, const std::string& name,
                         VersionKind kind, bool force);

// The whole version `name` of a run's directory, or the one made last for "latest". Throws CheckpointError
// naming those that are there.
std::string version_path(const std::string& directory, const std::string& name);

// The directory that a checkpoint file's versions belong in: its own, or the one above versions/ or
// deployed/.
std::string run_directory_of(const std::string& file);

}  // namespace zhgpt
