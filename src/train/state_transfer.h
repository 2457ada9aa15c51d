// Between a model's flat arrays on a device and the named tensors of a checkpoint.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "zhgpt/backend.h"
#include "zhgpt/checkpoint.h"
#include "zhgpt/params.h"

namespace zhgpt {

// Appends one source a parameter. `read` reads the flat array in table order, in f32, and is called when the
// snapshot is.
void append_tensors(Snapshot& snapshot, const ParameterTable& table, SectionKind kind,
                    const TensorReadFunction& read);

// Throws CheckpointError naming the first tensor of these kinds that is missing, unexpected or of another dtype or shape.
void require_tensors(const Checkpoint& from, const ParameterTable& table, std::initializer_list<SectionKind> kinds);

// REQUIRES: require_tensors passed for `kind`.
void read_tensors(const Checkpoint& from, Backend& backend, const ParameterTable& table, SectionKind kind, Tensor flat);

std::string fingerprint_text(std::uint64_t fingerprint);  // 16 hexadecimal digits
std::uint64_t parse_fingerprint(const std::string& text);

}  // namespace zhgpt
