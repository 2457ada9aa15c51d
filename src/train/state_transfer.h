// Between a model's flat arrays on a device and the named tensors of a checkpoint.
#pragma once

#include <initializer_list>

#include "zhgpt/backend.h"
#include "zhgpt/checkpoint.h"
#include "zhgpt/params.h"

namespace zhgpt {

// Appends one source a parameter. `read` reads the flat array in table order, in f32, and is called when the
// snapshot is.
void append_tensors(Snapshot& snapshot, const ParameterTable& table, SectionKind kind,
                    const TensorReadFunction& read);

// Throws CheckpointError naming the first tensor of these kinds that is missing, unexpected or of another dtype or
// shape. f32 is what training goes on from; other precisions of reals are allowed when it does not.
enum class Precision { f32, any };
void require_tensors(const Checkpoint& from, const ParameterTable& table, std::initializer_list<SectionKind> kinds,
                     Precision precision);

// Rounds to the nearest where the file's precision is another one than flat's. REQUIRES: require_tensors passed for
// `kind`.
void read_tensors(const Checkpoint& from, Backend& backend, const ParameterTable& table, SectionKind kind, Tensor flat);

}  // namespace zhgpt
