// What differs between two checkpoints: records line by line, vocabularies by character, tensors by value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "zhgpt/checkpoint.h"

namespace zhgpt {

struct RecordDiff {
  std::string key, a, b;  // values as they are kept; "" where the key is missing
};

struct TensorDiff {
  enum class Change { none, values, shape, only_a, only_b };
  SectionKind kind = SectionKind::parameter;
  std::string name;
  std::string a, b;  // "f32(24, 16)"; "" where the tensor is missing
  Change change = Change::none;
  // Of tensors with one shape; their dtypes may differ.
  double max_abs = 0;   // the largest |b - a|
  double relative = 0;  // norm of b - a over the norm of a; infinite when only a is all zero
};

struct CheckpointDiff {
  std::int64_t step_a = 0, step_b = 0;
  bool same_run = true, same_history = true;
  std::vector<RecordDiff> config, progress;  // those that differ, in a's order
  std::vector<std::int32_t> added, removed,
      moved;  // code points, in the order of their ids; moved: other id in b
  std::vector<TensorDiff>
      tensors;  // all: first what cannot be compared, then by falling `relative`, then equal ones

  bool equal() const;  // one logical state: every record, the vocabulary and every byte of every tensor
};

// Reads each tensor of both once, piece by piece (32 MiB in all). Throws CheckpointError when a file has
// changed since it was opened.
CheckpointDiff compare_checkpoints(const Checkpoint& a, const Checkpoint& b);

}  // namespace zhgpt
