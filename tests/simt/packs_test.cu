// The helpers of packs.cuh that kernels reach only at sizes too large for a test.
#include "cuda/launch.cuh"
#include "cuda/packs.cuh"
#include "simt/device_array.h"

namespace zhgpt::test {
namespace {

using namespace zhgpt::cuda;

constexpr int kWarps = 4;

// One block: out (rounds, 32, 2) = the warps' packs added, once a round.
__global__ void sum_rounds_kernel(float* out, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    Pack<float, 2> x;
    x[0] = static_cast<float>(1000 * round + 100 * warp_id() + lane_id());
    x[1] = -x[0];
    x = sum_of_warps<kWarps>(x);
    if (warp_id() == 0) {
      for (int k = 0; k < 2; ++k) out[(round * kWarpSize + lane_id()) * 2 + k] = x[k];
    }
  }
}

TEST(Packs, SumsOfWarpsMayFollowEachOther) {
  constexpr int kRounds = 3;
  std::vector<float> want;
  for (int round = 0; round < kRounds; ++round)
    for (int lane = 0; lane < kWarpSize; ++lane)
      for (const float sign : {1.f, -1.f})
        want.push_back(sign * static_cast<float>(kWarps * (1000 * round + lane) + 100 * (0 + 1 + 2 + 3)));
  for_each_seed([&] {
    const DeviceArray<float> out(want.size());
    Stream stream;
    ZHGPT_LAUNCH(stream, (Cost{}), (LaunchShape{1, kWarps * kWarpSize}), sum_rounds_kernel, out.data(),
                 kRounds);
    stream.synchronize();
    EXPECT_EQ(out.download(), want);
  });
}

TEST(Packs, AreChosenByShapeAndAddress) {
  alignas(16) const float data[8] = {};
  EXPECT_TRUE(in_packs<float>(4, {data, data + 4}));
  EXPECT_FALSE(in_packs<float>(6, {data}));
  EXPECT_FALSE(in_packs<float>(4, {data, data + 1}));
  EXPECT_FALSE(in_packs<bf16>(4, {data}));
  EXPECT_TRUE(in_packs<bf16>(8, {data}));
  EXPECT_EQ(blocks_for(1, 128), 1u);
  EXPECT_EQ(blocks_for(129, 128), 2u);
  EXPECT_EQ(blocks_for(std::int64_t{1} << 40, 1), 1u << 20);
}

}  // namespace
}  // namespace zhgpt::test
