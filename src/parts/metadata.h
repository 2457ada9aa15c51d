// The JSON file beside a part: what a person wants to know of it, without reading the model.
#pragma once

#include <string>

#include "zhgpt/checkpoint.h"

namespace zhgpt {

// REQUIRES of both: part_of(part) is something. Replaces an older file.
void write_part_metadata(const std::string& path, const Checkpoint& part);
// Throws CheckpointError when the file is there and says something else than the part. Fields that it lacks,
// or that this program does not know, are no contradiction.
void check_part_metadata(const std::string& path, const Checkpoint& part);

}  // namespace zhgpt
