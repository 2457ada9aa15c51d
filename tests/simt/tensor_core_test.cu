// The layouts of ldmatrix and mma against the formulas of the PTX ISA (sections "ldmatrix" and "Matrix
// fragments for mma.m16n8k16 with floating point type"), written down here element by element. Values are
// small whole numbers, all different enough that a wrong place is a wrong result, and every sum is exact.
#include <random>

#include "cuda/tensor_core.cuh"
#include "simt/faults.h"

namespace zhgpt::test {
namespace {

using namespace zhgpt::cuda;

std::vector<bf16> whole_numbers(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<bf16> values(count);
  for (bf16& value : values) {
    value = from_float<bf16>(static_cast<float>(static_cast<int>(random() % 255) - 127));
  }
  return values;
}
std::uint32_t pair_of(bf16 low, bf16 high) {
  std::uint16_t bits[2];
  std::memcpy(bits, &low, 2);
  std::memcpy(bits + 1, &high, 2);
  return bits[0] | static_cast<std::uint32_t>(bits[1]) << 16;
}

// Registers come and go as they are: [lane][register].
__global__ void mma_kernel(float* d, const std::uint32_t* a, const std::uint32_t* b) {
  const int lane = lane_id();
  std::uint32_t registers[4];
  float sum[4];
  for (int i = 0; i < 4; ++i) {
    registers[i] = a[4 * lane + i];
    sum[i] = d[4 * lane + i];
  }
  mma_m16n8k16(sum, registers, b[2 * lane], b[2 * lane + 1]);
  for (int i = 0; i < 4; ++i) d[4 * lane + i] = sum[i];
}

TEST(TensorCore, MmaMultipliesMatricesGivenAsFragments) {
  const auto a = whole_numbers(16 * 16, 1), b = whole_numbers(16 * 8, 2), c = whole_numbers(16 * 8, 3);
  std::vector<std::uint32_t> a_registers(32 * 4), b_registers(32 * 2);
  std::vector<float> d(32 * 4), want(32 * 4);
  for (int lane = 0; lane < 32; ++lane) {
    const int group = lane >> 2, in_group = lane % 4;
    const auto element_a = [&](int i) {  // a_i, 0 <= i < 8
      const int row = (i < 2) || (i >= 4 && i < 6) ? group : group + 8;
      const int column = in_group * 2 + (i & 1) + (i >= 4 ? 8 : 0);
      return a[row * 16 + column];
    };
    const auto element_b = [&](int i) {  // b_i, 0 <= i < 4
      const int row = in_group * 2 + (i & 1) + (i >= 2 ? 8 : 0);
      return b[row * 8 + group];
    };
    for (int r = 0; r < 4; ++r) a_registers[4 * lane + r] = pair_of(element_a(2 * r), element_a(2 * r + 1));
    for (int r = 0; r < 2; ++r) b_registers[2 * lane + r] = pair_of(element_b(2 * r), element_b(2 * r + 1));
    for (int i = 0; i < 4; ++i) {  // c_i and d_i
      const int row = i < 2 ? group : group + 8, column = in_group * 2 + (i & 1);
      double sum = to_float(c[row * 8 + column]);
      d[4 * lane + i] = static_cast<float>(sum);
      for (int k = 0; k < 16; ++k) sum += double{to_float(a[row * 16 + k])} * to_float(b[k * 8 + column]);
      want[4 * lane + i] = static_cast<float>(sum);
    }
  }
  const DeviceArray<std::uint32_t> device_a(a_registers), device_b(b_registers);
  for_each_seed([&] {
    const DeviceArray<float> device_d(d);
    RUN_KERNEL((LaunchShape{1, 32}), mma_kernel, device_d.data(), device_a.data(), device_b.data());
    EXPECT_EQ(device_d.download(), want);
  });
}

// out[lane][register] of loading `matrices` 8x8 matrices that lie one after another.
template <int matrices, bool transposed>
__global__ void ldmatrix_kernel(std::uint32_t* out, const bf16* in) {
  ZHGPT_SHARED(bf16, rows, [4 * 64]);
  for (int i = lane_id(); i < 4 * 64; i += 32) rows[i] = in[i];
  __syncwarp();
  const bf16* row = rows + 8 * lane_id();
  std::uint32_t r[matrices];
  if constexpr (matrices == 2) {
    transposed ? ldmatrix_x2_trans(r, row) : ldmatrix_x2(r, row);
  } else {
    transposed ? ldmatrix_x4_trans(r, row) : ldmatrix_x4(r, row);
  }
  for (int i = 0; i < matrices; ++i) out[matrices * lane_id() + i] = r[i];
}

template <int matrices, bool transposed>
void expect_matrices() {
  const auto in = whole_numbers(4 * 64, 4);
  std::vector<std::uint32_t> want(32 * matrices);
  for (int lane = 0; lane < 32; ++lane) {
    for (int m = 0; m < matrices; ++m) {
      const auto element = [&](int row, int column) {
        return transposed ? in[m * 64 + column * 8 + row] : in[m * 64 + row * 8 + column];
      };
      want[matrices * lane + m] =
          pair_of(element(lane / 4, lane % 4 * 2), element(lane / 4, lane % 4 * 2 + 1));
    }
  }
  const DeviceArray<bf16> device_in(in);
  for_each_seed([&] {
    const DeviceArray<std::uint32_t> out(want.size());
    RUN_KERNEL((LaunchShape{1, 32}), (ldmatrix_kernel<matrices, transposed>), out.data(), device_in.data());
    EXPECT_EQ(out.download(), want);
  });
}
TEST(TensorCore, LdmatrixGivesEachLaneItsPair) {
  expect_matrices<2, false>();
  expect_matrices<4, false>();
}
TEST(TensorCore, LdmatrixTransposes) {
  expect_matrices<2, true>();
  expect_matrices<4, true>();
}

// The first copy is real, the second is not valid and its source must not be read.
__global__ void fill_kernel(float* data) {
  ZHGPT_SHARED(float, tile, [8]);
  cp_async16(tile, data);
  cp_async16(tile + 4, nullptr, false);
  cp_async_commit();
  cp_async_wait<0>();
  for (int i = 0; i < 8; ++i) data[i] = tile[i];
}
TEST(TensorCore, AsynchronousCopyFillsWithZeros) {
  const DeviceArray<float> data({1, 2, 3, 4, 5, 6, 7, 8});
  RUN_KERNEL((LaunchShape{1, 1}), fill_kernel, data.data());
  EXPECT_EQ(data.download(), (std::vector<float>{1, 2, 3, 4, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace zhgpt::test
