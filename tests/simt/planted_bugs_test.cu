// Every mistake that a kernel can make with threads and memory, planted once: each must be found and reported
// with kernel, block, thread and source line. The comment at a line's end says which mistake it is.
#include <cmath>

#include "cuda/tensor_core.cuh"
#include "simt/faults.h"

namespace zhgpt::test {
namespace {

using namespace zhgpt::cuda;

std::string bug(const std::string& marker) {
  return line_of(__FILE__, marker);
}
using PlantedBug = FaultTest;

// ---- barriers and warp operations: seen by every variant --------------------------------------------------

__global__ void divergent_barrier_kernel(float* out) {
  if (threadIdx.x < 32) {
    __syncthreads();  // BUG: first barrier
  } else {
    __syncthreads();  // BUG: second barrier
  }
  out[threadIdx.x] = 0;
}
TEST_F(PlantedBug, DivergentBarrier) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 64}), divergent_barrier_kernel, data_);
      },
      {"divergent_barrier_kernel", "block (0,0,0)", "thread (", "divergent __syncthreads",
       bug("first barrier"), bug("second barrier")});
}

__global__ void early_return_kernel(float* out, int n) {
  if (static_cast<int>(threadIdx.x) >= n) return;
  __syncthreads();  // BUG: barrier after return
  out[threadIdx.x] = 0;
}
TEST_F(PlantedBug, EarlyReturnBeforeABarrier) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{dim3(1, 2), 64}), early_return_kernel, data_, 40);
      },
      {"early_return_kernel", "block (0,", "threads 0..39: __syncthreads at " + bug("barrier after return"),
       "threads 40..63: returned"});
}

__global__ void barrier_count_kernel(float* out) {
  named_barrier(1, threadIdx.x < 32 ? 64 : 96);  // BUG: two counts
  out[threadIdx.x] = 0;
}
TEST_F(PlantedBug, BarrierForTwoNumbersOfThreads) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 64}), barrier_count_kernel, data_);
      },
      {"barrier_count_kernel", "thread (", "named_barrier: barrier 1 for ", bug("two counts")});
}

__global__ void part_of_warp_kernel() {
  named_barrier(1, 48);  // BUG: not whole warps
}
TEST_F(PlantedBug, BarrierForPartOfAWarp) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 64}), part_of_warp_kernel);
      },
      {"part_of_warp_kernel", "thread (", "not whole warps", bug("not whole warps")});
}

__global__ void lane_outside_mask_kernel(float* out) {
  out[threadIdx.x] = __shfl_sync(0x0000ffffu, 1.f, 0);  // BUG: lane outside mask
}
TEST_F(PlantedBug, LaneOutsideItsOwnMask) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 32}), lane_outside_mask_kernel, data_);
      },
      {"lane_outside_mask_kernel", "block (0,0,0)", "thread (", "not in its own mask 0000ffff",
       bug("lane outside mask")});
}

__global__ void source_outside_mask_kernel(float* out) {
  if (threadIdx.x < 16) out[threadIdx.x] = __shfl_down_sync(0x0000ffffu, 1.f, 8);  // BUG: source outside mask
}
TEST_F(PlantedBug, SourceLaneOutsideTheMask) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 32}), source_outside_mask_kernel, data_);
      },
      {"source_outside_mask_kernel", "thread (", "which is not in the mask 0000ffff",
       bug("source outside mask")});
}

__global__ void divergent_loop_kernel(float* out) {
  float sum = 0;
  for (unsigned i = threadIdx.x; i < 48; i += 32) {
    sum += __shfl_xor_sync(kFullWarp, 1.f, 1);  // BUG: divergent loop
  }
  out[threadIdx.x] = sum + __shfl_xor_sync(kFullWarp, 1.f, 2);
}
TEST_F(PlantedBug, ShuffleThatNotAllLanesReach) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 32}), divergent_loop_kernel, data_);
      },
      {"divergent_loop_kernel", "thread (", bug("divergent loop")});
}

__global__ void too_much_shared_kernel(float* out) {
  SharedArena arena;
  float* row = arena.take<float>(threadIdx.x == 0 ? 65 : 64);  // BUG: takes too much
  row[0] = 1.f;
  out[threadIdx.x] = 0;
}
TEST_F(PlantedBug, TakesMoreSharedMemoryThanLaunchedWith) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 1, 256}), too_much_shared_kernel, data_);
      },
      {"too_much_shared_kernel", "thread (0,0,0)", "up to byte 260, launched with 256",
       bug("takes too much")});
}
TEST_F(PlantedBug, ThreadsTakeDifferentPieces) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 2, 512}), too_much_shared_kernel, data_);
      },
      {"too_much_shared_kernel", "thread (", "where another thread took", bug("takes too much")});
}

__global__ void too_large_array_kernel(float* out) {
  ZHGPT_SHARED(float, first, [10000]);
  ZHGPT_SHARED(float, second, [3000]);  // BUG: too large
  first[0] = second[0] = out[0];
}
TEST_F(PlantedBug, StaticSharedArraysAreTooLarge) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 1}), too_large_array_kernel, data_);
      },
      {"too_large_array_kernel", "thread (0,0,0)", "52000 bytes", bug("too large")});
}

// ---- alignment: seen by every variant, without UBSan ------------------------------------------------------

__global__ void misaligned_load_kernel(float* data) {
  store128(data, load128(data + 4 * blockIdx.x + blockIdx.x));  // BUG: misaligned load
}
TEST_F(PlantedBug, MisalignedLoad128) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{2, 1}), misaligned_load_kernel, data_);
      },
      {"misaligned_load_kernel", "block (1,0,0)", "thread (0,0,0)",
       "not aligned to 16 bytes: byte 20 of a device allocation", bug("misaligned load")});
}
__global__ void misaligned_store_kernel(float* data) {
  store128_streaming(data + 1 + threadIdx.x, Pack128<float>{});  // BUG: misaligned store
}
TEST_F(PlantedBug, MisalignedStore128) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 1}), misaligned_store_kernel, data_);
      },
      {"misaligned_store_kernel", "thread (0,0,0)", "not aligned to 16 bytes", bug("misaligned store")});
}
__global__ void misaligned_ldmatrix_kernel(float* out) {
  ZHGPT_SHARED(bf16, tile, [32 * 8 + 4]);
  for (int i = lane_id(); i < 32 * 8 + 4; i += 32) tile[i] = from_float<bf16>(0);
  __syncwarp();
  std::uint32_t r[4];
  ldmatrix_x4(r, tile + 8 * lane_id() + 4);  // BUG: misaligned ldmatrix
  out[threadIdx.x] = static_cast<float>(r[0]);
}
TEST_F(PlantedBug, MisalignedLdmatrix) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 32}), misaligned_ldmatrix_kernel, data_);
      },
      {"misaligned_ldmatrix_kernel", "thread (", "ldmatrix: not aligned to 16 bytes",
       bug("misaligned ldmatrix")});
}
__global__ void misaligned_copy_kernel(float* data, int to, int from) {
  ZHGPT_SHARED(float, tile, [64]);
  cp_async16(tile + to, data + from);  // BUG: misaligned copy
  cp_async_commit();
  cp_async_wait<0>();
}
TEST_F(PlantedBug, MisalignedAsynchronousCopy) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 1}), misaligned_copy_kernel, data_, 1, 0);
      },
      {"misaligned_copy_kernel",
       "cp.async target: not aligned to 16 bytes: byte 4 of a shared array of 256 bytes",
       bug("misaligned copy")});
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 1}), misaligned_copy_kernel, data_, 0, 2);
      },
      {"misaligned_copy_kernel", "cp.async source: not aligned to 16 bytes", bug("misaligned copy")});
}

// ---- asynchronous copies ----------------------------------------------------------------------------------

__global__ void copy_outside_kernel(float* data, int to, int from) {
  ZHGPT_SHARED(float, tile, [64]);
  cp_async16(tile + to, data + from);  // BUG: copy out of bounds
  cp_async_commit();
  cp_async_wait<0>();
}
TEST_F(PlantedBug, AsynchronousCopyOutOfBounds) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 1}), copy_outside_kernel, data_, 64, 0);
      },
      {"copy_outside_kernel", "cp.async target: out of bounds: byte 256 of a shared array of 256 bytes",
       bug("copy out of bounds")});
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 1}), copy_outside_kernel, data_, 0, 512);
      },
      {"copy_outside_kernel",
       "cp.async source: out of bounds: byte 2048 of a device allocation of 2048 bytes",
       bug("copy out of bounds")});
}

__global__ void no_wait_kernel(float* data) {
  ZHGPT_SHARED(float, tile, [4]);
  cp_async16(tile, data);  // BUG: never waited for
  cp_async_commit();
}
TEST_F(PlantedBug, ReturnsWithCopiesUnderway) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 1}), no_wait_kernel, data_);
      },
      {"no_wait_kernel", "thread (0,0,0)", "before waiting for its asynchronous copies",
       bug("never waited for")});
}

// What only the race checker reports reads as NaN elsewhere.
__global__ void nan_kernel(float* out) {
  ZHGPT_SHARED(float, never_written, [4]);
  ZHGPT_SHARED(float, in_flight, [4]);
  in_flight[0] = 7.f;  // is gone with the copy's beginning
  cp_async16(in_flight, out);
  out[4] = in_flight[0];
  cp_async_commit();
  cp_async_wait<0>();
  out[5] = in_flight[0];
  out[6] = never_written[0];
}
TEST_F(PlantedBug, ReadsNaNWhereNothingWasWritten) {
  if (kAsan || kRace) GTEST_SKIP() << "the kernel ends at the first of these reads";
  RUN_KERNEL((LaunchShape{1, 1}), nan_kernel, data_);
  const auto got = floats_.download();
  EXPECT_TRUE(std::isnan(got[4]));
  EXPECT_EQ(got[5], 1.f);
  EXPECT_TRUE(std::isnan(got[6]));
}

}  // namespace
}  // namespace zhgpt::test
