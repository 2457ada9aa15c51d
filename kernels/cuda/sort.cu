// sort_ids: a stable radix sort of (id, position), least significant digit first, digits of up to 8 bits: two
// passes for vocabularies up to 65,536. Integers only, so that the result does not depend on the order of the
// atomics. N. Satish, M. Harris, M. Garland, "Designing efficient sorting algorithms for manycore GPUs",
// IPDPS 2009.
//
// The ids are cut into at most 64 tiles, a block each. A pass is two kernels: digits are counted for each
// tile; then each tile adds up what lies before its own, and places its ids. The scan over the tiles costs
// each block 64 coalesced reads a thread, which is less than a kernel of its own.
#include "cuda/sort.h"

#include <bit>

#include "cuda/launch.cuh"
#include "cuda/packs.cuh"

namespace zhgpt::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarpSize;
constexpr int kDigitBits = 8;
constexpr int kDigits = 1 << kDigitBits;
constexpr std::int64_t kMostTiles = 64;
static_assert(kDigits == kThreads, "a thread a digit");

struct Pass {
  const std::int32_t *ids, *positions;          // (N); no positions in the first pass: id i is at i
  std::int32_t *sorted_ids, *sorted_positions;  // (N) =
  std::int32_t* counts;                         // (tiles, kDigits)
  std::int32_t N, warp_ids;  // ids of a warp, a multiple of 32; those of a tile are kWarps times as many
  int shift;                 // of the digit
};

// The part of the ids that is this warp's.
struct Part {
  std::int32_t begin, end;
};
__device__ __forceinline__ Part part_of_warp(const Pass& pass) {
  const std::int64_t begin = grid_warp() * pass.warp_ids, N = pass.N;
  return {static_cast<std::int32_t>(min(begin, N)), static_cast<std::int32_t>(min(begin + pass.warp_ids, N))};
}
__device__ __forceinline__ int digit_of(const Pass& pass, std::int32_t id) {
  return id >> pass.shift & (kDigits - 1);
}

// Counts the digits of each warp's ids. Every thread calls; a barrier must come before others' counts are
// read.
__device__ __forceinline__ void count_digits(const Pass& pass, std::int32_t (&counts)[kWarps][kDigits]) {
  for (int digit = lane_id(); digit < kDigits; digit += kWarpSize) counts[warp_id()][digit] = 0;
  __syncwarp();  // the warp's counts are 0
  const Part part = part_of_warp(pass);
  for (std::int32_t i = part.begin + lane_id(); i < part.end; i += kWarpSize) {
    atomicAdd(&counts[warp_id()][digit_of(pass, pass.ids[i])], 1);
  }
}

// A block a tile, then a thread a digit.
__global__ void __launch_bounds__(kThreads) count_digits_kernel(Pass pass) {
  ZHGPT_SHARED(std::int32_t, counts, [kWarps][kDigits]);
  count_digits(pass, counts);
  __syncthreads();  // all warps have counted
  std::int32_t count = 0;
#pragma unroll
  for (int warp = 0; warp < kWarps; ++warp) count += counts[warp][threadIdx.x];
  pass.counts[blockIdx.x * kDigits + threadIdx.x] = count;
}

// The sum of `count` over the threads before this one.
__device__ __forceinline__ std::int32_t sum_before(std::int32_t count) {
  ZHGPT_SHARED(std::int32_t, of_warp, [kWarps]);
  std::int32_t sum = count;
#pragma unroll
  for (int distance = 1; distance < kWarpSize; distance *= 2) {
    const std::int32_t other = __shfl_up_sync(kFullWarp, sum, distance);
    if (lane_id() >= distance) sum += other;
  }
  if (lane_id() == kWarpSize - 1) of_warp[warp_id()] = sum;
  __syncthreads();  // all warps' sums are there
  for (int warp = 0; warp < warp_id(); ++warp) sum += of_warp[warp];
  return sum - count;
}

// The lanes of the warp with this digit among those with `active`.
__device__ __forceinline__ unsigned lanes_with(int digit, bool active) {
  unsigned lanes = __ballot_sync(kFullWarp, active);
#pragma unroll
  for (int bit = 0; bit < kDigitBits; ++bit) {
    const unsigned ones = __ballot_sync(kFullWarp, digit >> bit & 1);
    lanes &= digit >> bit & 1 ? ones : ~ones;
  }
  return lanes;
}

// A block a tile. `places` holds, for each warp and digit, first how many there are, then where the next one
// goes.
__global__ void __launch_bounds__(kThreads) place_ids_kernel(Pass pass) {
  ZHGPT_SHARED(std::int32_t, places, [kWarps][kDigits]);
  count_digits(pass, places);

  const unsigned digit = threadIdx.x;
  std::int32_t count = 0, before = 0;  // of this digit, in all tiles and in those before
#pragma unroll 8
  for (unsigned tile = 0; tile < gridDim.x; ++tile) {
    const std::int32_t n = pass.counts[tile * kDigits + digit];
    count += n;
    if (tile < blockIdx.x) before += n;
  }
  std::int32_t place = sum_before(count) + before;  // its barrier is also that all warps have counted
#pragma unroll
  for (int warp = 0; warp < kWarps; ++warp) {
    const std::int32_t n = places[warp][digit];
    places[warp][digit] = place;
    place += n;
  }
  __syncthreads();  // all places are known

  const Part part = part_of_warp(pass);
  for (std::int32_t first = part.begin; first < part.end; first += kWarpSize) {
    const std::int32_t i = first + lane_id();
    const bool active = i < part.end;
    const std::int32_t id = active ? pass.ids[i] : 0;
    const int mine = digit_of(pass, id);
    const unsigned equal = lanes_with(mine, active), earlier = equal & ((1u << lane_id()) - 1);
    const std::int32_t to = places[warp_id()][mine] + __popc(earlier);
    __syncwarp();  // all lanes have read the places
    if (active) {
      if (earlier == 0) places[warp_id()][mine] += __popc(equal);
      pass.sorted_ids[to] = id;
      pass.sorted_positions[to] = pass.positions ? pass.positions[i] : i;
    }
    __syncwarp();  // the places are those of the next 32
  }
}

std::int64_t passes_for(std::int64_t V) {
  return std::max<std::int64_t>(1, ceil_div(std::bit_width(static_cast<std::uint64_t>(V - 1)), kDigitBits));
}
// At least two rounds of a block's threads a tile, more where 64 tiles would not suffice.
std::int64_t warp_ids_for(std::int64_t N) {
  return kWarpSize * std::max<std::int64_t>(2, ceil_div(N, kMostTiles * kThreads));
}

}  // namespace

std::size_t sort_bytes(std::int64_t N, std::int64_t V) {
  const std::int64_t results = 2 * std::min<std::int64_t>(2, passes_for(V)) * N;
  return sizeof(std::int32_t) * static_cast<std::size_t>(kMostTiles * kDigits + results);
}

SortedIds sort_ids(Stream& stream, const std::int32_t* ids, std::int64_t N, std::int64_t V, void* scratch) {
  auto* counts = static_cast<std::int32_t*>(scratch);
  std::int32_t* results = counts + kMostTiles * kDigits;  // passes take turns with two results of (2, N)
  const std::int64_t warp_ids = warp_ids_for(N), tiles = ceil_div(N, kWarps * warp_ids);
  const LaunchShape shape{static_cast<unsigned>(tiles), kThreads};
  const double ids_bytes = 4.0 * static_cast<double>(N),
               counts_bytes = 4.0 * static_cast<double>(tiles * kDigits);

  Pass pass{ids,
            nullptr,
            nullptr,
            nullptr,
            counts,
            static_cast<std::int32_t>(N),
            static_cast<std::int32_t>(warp_ids),
            0};
  for (std::int64_t i = 0; i < passes_for(V); ++i) {
    pass.shift = static_cast<int>(i) * kDigitBits;
    pass.sorted_ids = results + i % 2 * 2 * N;
    pass.sorted_positions = pass.sorted_ids + N;
    ZHGPT_LAUNCH(stream, (Cost{.bytes = ids_bytes + counts_bytes}), shape, count_digits_kernel, pass);
    const double read_bytes = pass.positions ? 2 * ids_bytes : ids_bytes;
    ZHGPT_LAUNCH(stream, (Cost{.bytes = read_bytes + 2 * ids_bytes + counts_bytes}), shape, place_ids_kernel,
                 pass);
    pass.ids = pass.sorted_ids;
    pass.positions = pass.sorted_positions;
  }
  return {pass.ids, pass.positions};
}

}  // namespace zhgpt::cuda
