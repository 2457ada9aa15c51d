// Positions sorted by their token ids, on the device.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/stream.h"

namespace zhgpt::cuda {

// Ids in ascending order, and where each was: equal ids keep the order of their positions.
struct SortedIds {
  const std::int32_t* ids;        // (N)
  const std::int32_t* positions;  // (N)
};

// Bytes of scratch memory that sorting N ids below V takes.
std::size_t sort_bytes(std::int64_t N, std::int64_t V);

// Puts the sort of ids (N), each in [0, V), on the stream; the result lies in `scratch`, which is aligned
// to 16. REQUIRES: N and V fit in 31 bits.
SortedIds sort_ids(Stream& stream, const std::int32_t* ids, std::int64_t N, std::int64_t V, void* scratch);

}  // namespace zhgpt::cuda
