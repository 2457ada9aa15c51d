// Between a model's flat arrays on a device and the named tensors of a checkpoint.
#pragma once

#include <initializer_list>

#include "zhgpt/backend.h"
#include "zhgpt/checkpoint.h"
#include "zhgpt/params.h"

namespace zhgpt {

// Appends one source a parameter; `flat` stays where it is until the snapshot has been read.
void append_tensors(Snapshot& snapshot, Backend& backend, const ParameterTable& table, SectionKind kind, Tensor flat);

// Throws CheckpointError naming the first tensor of these kinds that is missing, unexpected or of another dtype or shape.
void require_tensors(const Checkpoint& from, const ParameterTable& table, std::initializer_list<SectionKind> kinds);

// REQUIRES: require_tensors passed for `kind`.
void read_tensors(const Checkpoint& from, Backend& backend, const ParameterTable& table, SectionKind kind, Tensor flat);

}  // namespace zhgpt
