// CUDA's builtins on the host runtime, against their definitions; correct uses must raise no alarm.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "simt/faults.h"

namespace zhgpt::test {
namespace {

using namespace zhgpt::cuda;

// ---- shuffles ---------------------------------------------------------------------------------------------

enum class Shuffle { index, exclusive_or, up, down };

// PTX ISA, "shfl.sync", with the operands that the CUDA headers give it for `width`.
int source_lane(Shuffle kind, int lane, int b, int width) {
  const int segment_mask = 32 - width;
  const int clamp = kind == Shuffle::up ? 0 : 31;
  const int max_lane = (lane & segment_mask) | (clamp & ~segment_mask);
  const int min_lane = lane & segment_mask;
  int j = 0;
  bool in_range = false;
  switch (kind) {
    case Shuffle::up:
      j = lane - b;
      in_range = j >= max_lane;
      break;
    case Shuffle::down:
      j = lane + b;
      in_range = j <= max_lane;
      break;
    case Shuffle::exclusive_or:
      j = lane ^ b;
      in_range = j <= max_lane;
      break;
    case Shuffle::index:
      j = min_lane | (b & ~segment_mask);
      in_range = j <= max_lane;
      break;
  }
  return in_range ? j : lane;
}

template <Shuffle kind>
__global__ void shuffle_kernel(double* out, int b, int width) {
  const double value = 100.0 + lane_id();
  double got = 0;
  if constexpr (kind == Shuffle::index) got = __shfl_sync(kFullWarp, value, b, width);
  if constexpr (kind == Shuffle::exclusive_or) got = __shfl_xor_sync(kFullWarp, value, b, width);
  if constexpr (kind == Shuffle::up) got = __shfl_up_sync(kFullWarp, value, static_cast<unsigned>(b), width);
  if constexpr (kind == Shuffle::down)
    got = __shfl_down_sync(kFullWarp, value, static_cast<unsigned>(b), width);
  out[threadIdx.x] = got;
}
template <Shuffle kind>
void expect_shuffles() {
  const DeviceArray<double> out(32);
  for (const int width : {2, 8, 32}) {
    for (const int b : {0, 1, 3, 9, 31}) {
      std::vector<double> want(32);
      for (int lane = 0; lane < 32; ++lane) want[lane] = 100.0 + source_lane(kind, lane, b, width);
      RUN_KERNEL((LaunchShape{1, 32}), shuffle_kernel<kind>, out.data(), b, width);
      EXPECT_EQ(out.download(), want) << "width " << width << ", operand " << b;
    }
  }
}
TEST(Builtins, ShufflesFollowThePtxDefinition) {
  expect_shuffles<Shuffle::index>();
  expect_shuffles<Shuffle::exclusive_or>();
  expect_shuffles<Shuffle::up>();
  expect_shuffles<Shuffle::down>();
}

// ---- votes, barriers --------------------------------------------------------------------------------------

// Both halves of a warp vote at once, each within its own mask.
__global__ void vote_kernel(unsigned* out) {
  const unsigned lane = threadIdx.x % 32;
  const unsigned mask = lane < 16 ? 0x0000ffffu : 0xffff0000u;
  out[threadIdx.x] = lane < 16 ? __ballot_sync(mask, lane % 3 == 0) : __ballot_sync(mask, lane % 5 == 0);
  const bool any = __any_sync(kFullWarp, lane == 7), all = __all_sync(kFullWarp, lane < 31);
  if (!any || all) out[threadIdx.x] = 0;
}
TEST(Builtins, VotesOfPartsOfAWarp) {
  std::vector<unsigned> want(64);
  for (unsigned lane = 0; lane < 32; ++lane) {
    const unsigned bits = lane < 16 ? 0b1001001001001001u : 1u << 20 | 1u << 25 | 1u << 30;
    want[lane] = want[lane + 32] = bits;
  }
  for_each_seed([&] {
    const DeviceArray<unsigned> out(64);
    RUN_KERNEL((LaunchShape{1, 64}), vote_kernel, out.data());
    EXPECT_EQ(out.download(), want);
  });
}

__global__ void count_kernel(int* out) {
  const int count = __syncthreads_count(threadIdx.x % 3 == 0);
  const int any = __syncthreads_or(threadIdx.x == 95), all = __syncthreads_and(threadIdx.x != 5);
  out[threadIdx.x] = count * 100 + any * 10 + all;
}
TEST(Builtins, BarriersCountVotes) {
  for_each_seed([&] {
    const DeviceArray<int> out(96);
    RUN_KERNEL((LaunchShape{1, 96}), count_kernel, out.data());
    EXPECT_EQ(out.download(), std::vector<int>(96, 3210));
  });
}

// One warp fills a buffer for another, by two named barriers; the third warp does not take part.
__global__ void producer_kernel(float* out) {
  ZHGPT_SHARED(float, row, [32]);
  for (int round = 0; round < 3; ++round) {
    if (warp_id() == 0) {
      row[lane_id()] = static_cast<float>(10 * round + lane_id());
      named_barrier(1, 64);  // filled
      named_barrier(2, 64);  // read
    } else if (warp_id() == 1) {
      named_barrier(1, 64);
      out[32 * round + lane_id()] = row[31 - lane_id()];
      named_barrier(2, 64);
    }
  }
}
TEST(Builtins, NamedBarriersOrderTwoWarps) {
  std::vector<float> want(96);
  for (int i = 0; i < 96; ++i) want[i] = static_cast<float>(10 * (i / 32) + 31 - i % 32);
  for_each_seed([&] {
    const DeviceArray<float> out(96);
    RUN_KERNEL((LaunchShape{1, 96}), producer_kernel, out.data());
    EXPECT_EQ(out.download(), want);
  });
}

// ---- reductions, atomics, three dimensions ----------------------------------------------------------------

__global__ void reduce_kernel(float* out, const float* in) {
  const float value = in[threadIdx.x];
  const float sum = block_sum(value), again = block_sum(sum), most = block_max(value);
  out[3 * threadIdx.x] = sum;
  out[3 * threadIdx.x + 1] = most;
  out[3 * threadIdx.x + 2] = again;
}
TEST(Builtins, BlockReductionsGiveEveryThreadTheResult) {
  std::vector<float> in(160), want;
  for (int i = 0; i < 160; ++i) in[i] = static_cast<float>(-1 - i * 37 % 160);
  const float sum = std::accumulate(in.begin(), in.end(), 0.f),
              most = *std::max_element(in.begin(), in.end());
  for (int i = 0; i < 160; ++i) want.insert(want.end(), {sum, most, 160 * sum});
  for_each_seed([&] {
    const DeviceArray<float> device_in(in), out(want.size());
    RUN_KERNEL((LaunchShape{1, 160}), reduce_kernel, out.data(), device_in.data());
    EXPECT_EQ(out.download(), want);
  });
}

__global__ void histogram_kernel(int* out, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= n) return;
  atomicAdd(&out[i % 4], 1);
  atomicMax(&out[4], i);
  atomicMin(&out[5], -i);
  atomicOr(&out[6], 1 << (i % 5));
  atomicCAS(&out[7], 0, 42);
}
TEST(Builtins, AtomicsBetweenBlocksAreNoRace) {
  for_each_seed([&] {
    const DeviceArray<int> out(std::vector<int>(8, 0));
    RUN_KERNEL((LaunchShape{4, 32}), histogram_kernel, out.data(), 101);
    EXPECT_EQ(out.download(), (std::vector<int>{26, 25, 25, 25, 100, -100, 31, 42}));
  });
}

__global__ void place_kernel(int* out) {
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned size = blockDim.x * blockDim.y * blockDim.z;
  out[block * size + thread] = static_cast<int>(block * size + thread);
}
TEST(Builtins, EveryThreadOfEveryBlockRunsOnce) {
  std::vector<int> want(2 * 3 * 4 * 5 * 3 * 2);
  std::iota(want.begin(), want.end(), 0);
  for_each_seed([&] {
    const DeviceArray<int> out(want.size());
    RUN_KERNEL((LaunchShape{dim3(2, 3, 4), dim3(5, 3, 2)}), place_kernel, out.data());
    EXPECT_EQ(out.download(), want);
  });
}

// out[i] = which block, and which thread of it, was the i-th to run.
__global__ void order_kernel(int* out, int* count) {
  out[atomicAdd(count, 1)] = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
}
std::vector<int> order_of_threads(std::uint64_t seed) {
  const std::uint64_t before = simt::seed();
  simt::set_seed(seed);
  const DeviceArray<int> out(24), count({0});
  RUN_KERNEL((LaunchShape{3, 8}), order_kernel, out.data(), count.data());
  simt::set_seed(before);
  return out.download();
}
TEST(Builtins, SeedsChooseTheOrder) {
  std::vector<int> ascending(24);
  std::iota(ascending.begin(), ascending.end(), 0);
  EXPECT_EQ(order_of_threads(0), ascending);
  EXPECT_EQ(order_of_threads(1), std::vector<int>(ascending.rbegin(), ascending.rend()));
  std::vector<int> random = order_of_threads(2);
  EXPECT_EQ(random, order_of_threads(2));
  EXPECT_NE(random, order_of_threads(3));
  EXPECT_NE(random, ascending);
  std::sort(random.begin(), random.end());
  EXPECT_EQ(random, ascending);
}

// Two static arrays, one of them in a helper that is called twice, beside dynamic pieces.
__device__ float exchange(float value) {
  ZHGPT_SHARED(float, all, [64]);
  all[threadIdx.x] = value;
  __syncthreads();  // all are written
  const float other = all[63 - threadIdx.x];
  __syncthreads();  // all are read
  return other;
}
__global__ void arrays_kernel(float* out) {
  ZHGPT_SHARED(float, own, [2][64]);
  SharedArena arena;
  const auto stages = arena.take_stages<float, 2>(64);
  float* last = arena.take<float>(64);
  const float x = static_cast<float>(threadIdx.x);
  own[1][threadIdx.x] = exchange(x);
  stages[0][threadIdx.x] = exchange(2 * x);
  stages[1][threadIdx.x] = own[1][threadIdx.x];
  last[threadIdx.x] = 1;
  out[threadIdx.x] = stages[0][threadIdx.x] + stages[1][threadIdx.x] + last[threadIdx.x];
}
TEST(Builtins, SharedArraysAreApart) {
  std::vector<float> want(64);
  for (int i = 0; i < 64; ++i) want[i] = static_cast<float>(3 * (63 - i) + 1);
  for_each_seed([&] {
    const DeviceArray<float> out(64);
    RUN_KERNEL((LaunchShape{1, 64, 3 * shared_bytes<float>(64)}), arrays_kernel, out.data());
    EXPECT_EQ(out.download(), want);
  });
}

__global__ void convert_kernel(float* out, const float* in) {
  const Pack128<float> pack = load128_streaming(in);
  Pack128<bf16> narrow;
  for (int i = 0; i < 4; ++i) narrow[i] = narrow[i + 4] = from_float<bf16>(pack[i]);
  Pack128<float> wide;
  for (int i = 0; i < 4; ++i) wide[i] = to_float(narrow[i + 4]);
  store128_streaming(out, wide);
  const std::uint32_t pair = pack_bf16(1.f, -2.f);
  out[4] = __uint_as_float(pair << 16);
  out[5] = __uint_as_float(pair & 0xffff0000u);
}
TEST(Builtins, ConversionsRoundToEven) {
  // 1 + 2^-8 lies midway between 1 and 1 + 2^-7, 1 + 3 * 2^-8 between 1 + 2^-7 and 1 + 2^-6.
  const DeviceArray<float> in({1 + 0x1p-8f, 1 + 3 * 0x1p-8f, -3.f, INFINITY}), out(6);
  RUN_KERNEL((LaunchShape{1, 1}), convert_kernel, out.data(), in.data());
  EXPECT_EQ(out.download(), (std::vector<float>{1.f, 1 + 0x1p-6f, -3.f, INFINITY, 1.f, -2.f}));
}

}  // namespace
}  // namespace zhgpt::test
