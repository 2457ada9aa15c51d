// The numbers of a checkpoint's tensors, whatever type they are kept in, piece by piece: memory stays
// bounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "zhgpt/checkpoint.h"

namespace zhgpt {

// Element i of an array of `dtype`, as a double: exact but for i64 beyond 2^53.
double value_at(DType dtype, std::span<const std::byte> bytes, std::int64_t i);

// Reads one tensor from its first element to its last, up to kPiece of them at a time.
class TensorPieces {
 public:
  static constexpr std::int64_t kPiece = std::int64_t{1}
                                         << 22;  // of f32 a chunk of the file, verified at once

  // REQUIRES: `from` outlives this and holds the tensor.
  TensorPieces(const Checkpoint& from, const TensorInfo& info);
  bool next();  // false: there are no more. Throws CheckpointError when the file has changed.
  std::int64_t count() const { return count_; }
  std::span<const std::byte> bytes() const;
  double operator[](std::int64_t i) const { return value_at(info_.dtype, bytes(), i); }

 private:
  const Checkpoint& from_;
  const TensorInfo& info_;
  std::int64_t left_, count_ = 0, offset_ = 0;  // elements, elements, bytes
  std::vector<std::byte> buffer_;
};

// Square root of the sum of squares, summed in the order of the elements.
double tensor_norm(const Checkpoint& from, const TensorInfo& info);

}  // namespace zhgpt
