// Packed programs: a copy of this program with a model inside, which samples from it and needs no other file.
//
// The model is a checkpoint without moments, behind the program's own bytes at a multiple of 4096, so that
// its weights can be used where they lie. Where that is stands in a slot that every build of the program has:
// a program that was cut short is found out, and one without a model looks for nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "zhgpt/checkpoint.h"

namespace zhgpt {

// The model in the running program, verified like any checkpoint; its memory lives as long as the process.
// nullopt when there is none. Throws CheckpointError when it is damaged or no longer there, IoError when the
// program can not be read.
std::optional<Checkpoint> packed_model();

// Writes the program, executable for whoever may read it. Throws ConfigError when its size would be above
// max_bytes, and as save_checkpoint does.
void pack_program(const std::string& to, const Checkpoint& model, std::int64_t max_bytes,
                  bool overwrite = false);

}  // namespace zhgpt
