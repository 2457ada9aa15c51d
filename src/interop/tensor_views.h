// Views: tensor sources computed from others while they are read, so that a model is converted tensor by
// tensor.
//
// A view reads its source in pieces and holds one of them. REQUIRES of every read: offset and size are whole
// elements, as those of the writers are.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "zhgpt/checkpoint.h"

namespace zhgpt::interop {

TensorSource renamed(TensorSource source, std::string name);

// f32 from f32, f16 or bf16: exact. Throws CheckpointError on other dtypes.
TensorSource as_f32(TensorSource source);

// f16 from f32, to the nearest, ties to even. Reading throws CheckpointError when a value is too large for
// f16.
TensorSource as_f16(TensorSource source);

// (R, C) to (C, R).
TensorSource transposed(TensorSource source);

// f32 (R, C) to (rows.size(), C): row i is the source's row rows[i], or the mean of all of its rows, summed
// in double, where that is kMeanRow, or zeros where it is kZeroRow. REQUIRES: other entries lie in [0, R).
inline constexpr std::int64_t kMeanRow = -1, kZeroRow = -2;
TensorSource with_rows(TensorSource source, std::shared_ptr<const std::vector<std::int64_t>> rows);

// The source's bytes in order, in pieces of at most 16 MiB: what a checkpoint proves at once.
template <class Use>
void for_each_piece(const TensorSource& source, Use use) {
  constexpr std::int64_t kPieceBytes = 16 << 20;
  const std::int64_t bytes = source.info.bytes();
  std::vector<std::byte> buffer(static_cast<std::size_t>(bytes < kPieceBytes ? bytes : kPieceBytes));
  for (std::int64_t offset = 0; offset < bytes; offset += kPieceBytes) {
    const std::int64_t left = bytes - offset;
    const std::span piece(buffer.data(), static_cast<std::size_t>(left < kPieceBytes ? left : kPieceBytes));
    source.read(offset, piece);
    use(std::span<const std::byte>(piece));
  }
}

bool equal_bytes(const TensorSource& a, const TensorSource& b);

}  // namespace zhgpt::interop
