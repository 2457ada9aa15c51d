// Planted races: the race variant sees them under every order of threads and blocks.
#include <cmath>

#include "cuda/tensor_core.cuh"
#include "simt/faults.h"

namespace zhgpt::test {
namespace {

using namespace zhgpt::cuda;

std::string bug(const std::string& marker) {
  return line_of(__FILE__, marker);
}
using Race = FaultTest;

// ---- races: seen by the race variant under every order ----------------------------------------------------

// The block sum of device.cuh without its first barrier.
__global__ void missing_barrier_kernel(float* out) {
  ZHGPT_SHARED(float, of_warp, [32]);
  const float sum = warp_sum(out[threadIdx.x]);
  if (lane_id() == 0) of_warp[warp_id()] = sum;            // BUG: written
  if (threadIdx.x == 0) out[0] = of_warp[0] + of_warp[1];  // BUG: read
}
TEST_F(Race, MissingBarrier) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 64}), missing_barrier_kernel, data_);
      },
      {"missing_barrier_kernel", "block (0,0,0)", "thread (0,0,0)", bug("read")});
}

__global__ void missing_warp_barrier_kernel(float* out) {
  ZHGPT_SHARED(float, row, [32]);
  row[threadIdx.x] = 1.f;                   // BUG: lane writes
  out[threadIdx.x] = row[threadIdx.x ^ 1];  // BUG: lane reads
}
TEST_F(Race, MissingWarpBarrier) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 32}), missing_warp_barrier_kernel, data_);
      },
      {"missing_warp_barrier_kernel", "thread (", bug("lane reads")});
}

// A shuffle between write and read does not order them.
__global__ void shuffle_is_no_barrier_kernel(float* out) {
  ZHGPT_SHARED(float, row, [32]);
  row[threadIdx.x] = 1.f;
  const float other = __shfl_xor_sync(kFullWarp, 1.f, 1);
  out[threadIdx.x] = other + row[threadIdx.x ^ 1];  // BUG: only a shuffle between
}
TEST_F(Race, ShuffleInsteadOfAWarpBarrier) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 32}), shuffle_is_no_barrier_kernel, data_);
      },
      {"shuffle_is_no_barrier_kernel", "race, read after write", "block (0,0,0) thread",
       bug("only a shuffle between")});
}

__global__ void refill_kernel(float* out) {
  ZHGPT_SHARED(float, row, [64]);
  for (int round = 0; round < 2; ++round) {
    row[threadIdx.x] = static_cast<float>(round);  // BUG: refilled
    __syncthreads();
    out[threadIdx.x] = row[63 - threadIdx.x];  // BUG: still being read
  }
}
TEST_F(Race, MissingBarrierBeforeABufferIsRefilled) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 64}), refill_kernel, data_);
      },
      {"refill_kernel", "race, ", bug("refilled"), bug("still being read")});
}

// The writer is ordered after the readers of its own warp only.
__global__ void many_readers_kernel(float* out) {
  ZHGPT_SHARED(float, cell, [1]);
  if (threadIdx.x == 0) cell[0] = 1.f;
  __syncthreads();             // written
  out[threadIdx.x] = cell[0];  // BUG: read by all
  __syncwarp();
  if (threadIdx.x == blockDim.x - 1) cell[0] = 2.f;  // BUG: written after one warp
}
TEST_F(Race, WriteAfterReadsOfManyWarps) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 128}), many_readers_kernel, data_);
      },
      {"many_readers_kernel", "race, ", bug("read by all"), bug("written after one warp")});
}

__global__ void write_write_kernel(float* out) {
  ZHGPT_SHARED(float, row, [8]);
  row[threadIdx.x % 8] = 1.f;  // BUG: written twice
  __syncthreads();
  out[threadIdx.x] = row[threadIdx.x % 8];
}
TEST_F(Race, WriteWriteRaceInABlock) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 64}), write_write_kernel, data_);
      },
      {"write_write_kernel", "race, write after write", "block (0,0,0) thread", bug("written twice")});
}

__global__ void between_blocks_kernel(float* out) {
  out[0] = static_cast<float>(blockIdx.x);  // BUG: all blocks write
}
TEST_F(Race, WriteWriteRaceBetweenBlocks) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{4, 1}), between_blocks_kernel, data_);
      },
      {"between_blocks_kernel", "race between blocks, write after write", "byte 0 of a device allocation",
       bug("all blocks write")});
}

__global__ void neighbour_kernel(float* out) {
  out[blockIdx.x] = out[blockIdx.x + 1];  // BUG: reads the next block's
}
TEST_F(Race, ReadWriteRaceBetweenBlocks) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{4, 1}), neighbour_kernel, data_);
      },
      {"neighbour_kernel", "race between blocks, ", bug("reads the next block's")});
}

__global__ void update_kernel(float* out) {
  out[0] += 1.f;  // BUG: not atomic
}
TEST_F(Race, UpdateThatIsNotAtomic) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 32}), update_kernel, data_);
      },
      {"update_kernel", "race, ", bug("not atomic")});
}

__global__ void uninitialised_kernel(float* out) {
  ZHGPT_SHARED(float, row, [32]);
  if (threadIdx.x > 0) row[threadIdx.x] = 1.f;
  __syncthreads();
  out[threadIdx.x] = row[0];  // BUG: never written
}
TEST_F(Race, UninitialisedSharedMemory) {
  expect_fault(
      [&] {
        RUN_KERNEL((LaunchShape{2, 32}), uninitialised_kernel, data_);
      },
      {"uninitialised_kernel", "read before anything was written: byte 0 of a shared array of 128 bytes",
       bug("never written")});
}
__global__ void same_target_kernel(float* data) {
  ZHGPT_SHARED(float, tile, [16]);
  cp_async16(tile + 4 * (threadIdx.x % 4), data);  // BUG: two copies to one place
  cp_async_commit();
  cp_async_wait<0>();
  __syncthreads();
  data[threadIdx.x] = tile[0];
}
TEST_F(Race, TwoCopiesToOnePlace) {
  if constexpr (kRace) {
    expect_fault(
        [&] {
          RUN_KERNEL((LaunchShape{1, 32}), same_target_kernel, data_);
        },
        {"same_target_kernel", "race, write after write", bug("two copies to one place")});
  } else {
    GTEST_SKIP() << "seen by the race variant";
  }
}

}  // namespace
}  // namespace zhgpt::test
