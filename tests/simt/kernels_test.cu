// Kernels without faults: right results under every order, and no false alarm.
#include <cmath>

#include "cuda/launch.cuh"
#include "cuda/tensor_core.cuh"
#include "simt/device_array.h"

namespace zhgpt::test {
namespace {

using namespace zhgpt::cuda;

// One thread an element.
__global__ void add_kernel(float* out, const float* a, const float* b, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) out[i] = a[i] + b[i];
}

TEST(Kernels, AddsVectors) {
  for_each_seed([] {
    constexpr int n = 1000;
    std::vector<float> a(n), b(n), want(n);
    for (int i = 0; i < n; ++i) {
      a[i] = static_cast<float>(i) * 0.5f;
      b[i] = static_cast<float>(n - i);
      want[i] = a[i] + b[i];
    }
    const DeviceArray<float> da(a), db(b), out(n);
    Stream stream;
    ZHGPT_LAUNCH(stream, (Cost{.flops = n, .bytes = 12.0 * n}), (LaunchShape{(n + 127) / 128, 128}),
                 add_kernel, out.data(), da.data(), db.data(), n);
    stream.synchronize();
    EXPECT_EQ(out.download(), want);
  });
}

// One block a row: out[row] = sum of its n elements, read 16 bytes at a time. REQUIRES: n % 8 == 0.
template <class T>
__global__ void row_sum_kernel(float* out, const T* rows, int n) {
  const T* row = rows + static_cast<std::int64_t>(blockIdx.x) * n;
  float sum = 0;
  for (int i = static_cast<int>(threadIdx.x) * Pack128<T>::kSize; i < n;
       i += static_cast<int>(blockDim.x) * Pack128<T>::kSize) {
    const Pack128<T> pack = load128(row + i);
    for (int k = 0; k < pack.kSize; ++k) sum += to_float(pack[k]);
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

TEST(Kernels, SumsRowsInBlocks) {
  for_each_seed([] {
    constexpr int rows = 5, n = 1048;
    std::vector<bf16> values(rows * n);
    std::vector<double> want(rows);
    for (int i = 0; i < rows * n; ++i) {
      values[i] = from_float<bf16>(static_cast<float>(i % 23) - 9.f);  // whole numbers: every sum is exact
      want[i / n] += i % 23 - 9;
    }
    const DeviceArray<bf16> input(values);
    const DeviceArray<float> out(rows);
    Stream stream;
    ZHGPT_LAUNCH(stream, Cost{}, (LaunchShape{rows, 128}), row_sum_kernel<bf16>, out.data(), input.data(), n);
    stream.synchronize();
    const auto got = out.download();
    EXPECT_EQ(std::vector<double>(got.begin(), got.end()), want);
  });
}

// One warp: out (16, 8) = a (16, k) . b (8, k)^T, in tiles of 16 along k that are copied one ahead.
__global__ void product_kernel(float* out, const bf16* a, const bf16* b, int k) {
  SharedArena arena;
  const auto a_tiles = arena.take_stages<bf16, 2>(16 * 16);
  const auto b_tiles = arena.take_stages<bf16, 2>(8 * 16);
  const int lane = lane_id();
  const auto fetch = [&](int tile) {
    const int row = lane / 2, column = lane % 2 * 8;
    cp_async16(a_tiles[tile % 2] + row * 16 + column, a + row * k + tile * 16 + column);
    if (lane < 16) cp_async16(b_tiles[tile % 2] + row * 16 + column, b + row * k + tile * 16 + column);
    cp_async_commit();
  };
  float sum[4] = {0, 0, 0, 0};
  fetch(0);
  for (int tile = 0; tile < k / 16; ++tile) {
    if (tile + 1 < k / 16) {
      fetch(tile + 1);
      cp_async_wait<1>();
    } else {
      cp_async_wait<0>();
    }
    __syncwarp();  // every lane's part of the tile has landed
    std::uint32_t fragment_a[4], fragment_b[2];
    ldmatrix_x4(fragment_a, a_tiles[tile % 2] + lane % 16 * 16 + lane / 16 * 8);
    ldmatrix_x2(fragment_b, b_tiles[tile % 2] + lane % 8 * 16 + lane / 8 % 2 * 8);
    mma_m16n8k16(sum, fragment_a, fragment_b[0], fragment_b[1]);
    __syncwarp();  // the tile has been read: the next copy may overwrite it
  }
  const int row = lane / 4, column = 2 * (lane % 4);
  out[row * 8 + column] = sum[0];
  out[row * 8 + column + 1] = sum[1];
  out[(row + 8) * 8 + column] = sum[2];
  out[(row + 8) * 8 + column + 1] = sum[3];
}

TEST(Kernels, MultipliesOnTensorCores) {
  for_each_seed([] {
    constexpr int k = 64;
    std::vector<bf16> a(16 * k), b(8 * k);
    for (int i = 0; i < 16 * k; ++i) a[i] = from_float<bf16>(static_cast<float>(i * 7 % 19 - 9));
    for (int i = 0; i < 8 * k; ++i) b[i] = from_float<bf16>(static_cast<float>(i * 5 % 17 - 8));
    std::vector<float> want(16 * 8);
    for (int row = 0; row < 16; ++row) {
      for (int column = 0; column < 8; ++column) {
        double sum = 0;
        for (int i = 0; i < k; ++i) sum += double{to_float(a[row * k + i])} * to_float(b[column * k + i]);
        want[row * 8 + column] = static_cast<float>(sum);  // whole numbers below 2^24: exact
      }
    }
    const DeviceArray<bf16> da(a), db(b);
    const DeviceArray<float> out(want.size());
    const std::size_t bytes = 2 * shared_bytes<bf16>(16 * 16) + 2 * shared_bytes<bf16>(8 * 16);
    Stream stream;
    ZHGPT_LAUNCH(stream, Cost{}, (LaunchShape{1, 32, bytes}), product_kernel, out.data(), da.data(),
                 db.data(), k);
    stream.synchronize();
    EXPECT_EQ(out.download(), want);
  });
}

}  // namespace
}  // namespace zhgpt::test
