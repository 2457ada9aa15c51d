// Planted mistakes with memory that only the sanitizers and the race checker see.
#include <cmath>

#include "cuda/tensor_core.cuh"
#include "simt/faults.h"

namespace zhgpt::test {
namespace {

using namespace zhgpt::cuda;

std::string bug(const std::string& marker) {
  return line_of(__FILE__, marker);
}
using MemoryBug = FaultTest;

// ---- asynchronous copies ----------------------------------------------------------------------------------

// Waits for the older of two groups, and reads both.
__global__ void wrong_group_kernel(float* data) {
  ZHGPT_SHARED(float, tile, [8]);
  for (int group = 0; group < 2; ++group) {
    cp_async16(tile + 4 * group, data + 4 * group);
    cp_async_commit();
  }
  cp_async_wait<1>();
  data[8] = tile[0];
  data[9] = tile[4];  // BUG: read before landed
  cp_async_wait<0>();
}
TEST_F(MemoryBug, ReadsBeforeTheCopyIsWaitedFor) {
  expect_watched_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 1}), wrong_group_kernel, data_);
      },
      "before its asynchronous copy was waited for", "use-after-poison",
      {"wrong_group_kernel", "thread (0,0,0)", bug("read before landed")});
}
// ---- memory -----------------------------------------------------------------------------------------------

__global__ void shared_overrun_kernel(float* out) {
  ZHGPT_SHARED(float, row, [32]);
  row[threadIdx.x + (threadIdx.x == 31)] = 1.f;  // BUG: shared overrun
  out[threadIdx.x] = 0;
}
TEST_F(MemoryBug, SharedMemoryOverrun) {
  expect_watched_fault(
      [&] {
        RUN_KERNEL((LaunchShape{3, 32}), shared_overrun_kernel, data_);
      },
      "out of bounds: byte 128 of a shared array of 128 bytes", "index 32 out of bounds",
      {"shared_overrun_kernel", "block (", "thread (31,0,0)", bug("shared overrun")});
}

__global__ void global_overrun_kernel(float* out, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i <= n) out[i] = 1.f;  // BUG: global overrun
}
TEST_F(MemoryBug, GlobalMemoryOverrun) {
  expect_watched_fault(
      [&] {
        RUN_KERNEL((LaunchShape{9, 64}), global_overrun_kernel, data_, 512);
      },
      "out of bounds: byte 2048 of a device allocation of 2048 bytes", "use-after-poison",
      {"global_overrun_kernel", "block (8,0,0)", "thread (0,0,0)", bug("global overrun")});
}

// From the first piece into the second, which on a GPU is the next byte.
__global__ void piece_overrun_kernel(float* out) {
  SharedArena arena;
  float* first = arena.take<float>(32);
  float* second = arena.take<float>(32);
  first[threadIdx.x] = second[threadIdx.x] = 0;
  __syncthreads();
  out[threadIdx.x] = first[threadIdx.x + 1];  // BUG: into the next piece
}
TEST_F(MemoryBug, OverrunFromOnePieceIntoTheNext) {
  expect_watched_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 32, 256}), piece_overrun_kernel, data_);
      },
      "out of bounds: byte 128 of a shared array of 128 bytes", "use-after-poison",
      {"piece_overrun_kernel", "thread (31,0,0)", bug("into the next piece")});
}

__global__ void use_kernel(float* data) {
  data[0] = 1.f;  // BUG: use after free
}
TEST_F(MemoryBug, UseAfterFree) {
  float* freed = nullptr;
  check(cudaMalloc(reinterpret_cast<void**>(&freed), 64), "allocating");
  check(cudaFree(freed), "freeing");
  expect_watched_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 1}), use_kernel, freed);
      },
      "use after free", "use-after-poison", {"use_kernel", bug("use after free")});
}

TEST_F(MemoryBug, HostTouchesDeviceMemory) {
  const auto touch = [&] {
    *static_cast<volatile float*>(data_) = 1.f;  // BUG: host access
    check(cudaDeviceSynchronize(), "waiting");
  };
  expect_watched_fault(touch, "host code touches byte 0 of a device allocation", "use-after-poison",
                       {bug("host access")});
}

#ifdef __SANITIZE_ADDRESS__
__global__ void index_overflow_kernel(float* out, int big) {
  const int i = (static_cast<int>(blockIdx.x) + big) * 65536;  // BUG: overflow
  out[i < 0 ? 0 : 1] = 1.f;
}
TEST_F(MemoryBug, IndexOverflow) {
  expect_watched_fault(
      [&] {
        RUN_KERNEL((LaunchShape{1, 1}), index_overflow_kernel, data_, 40000);
      },
      "", "signed integer overflow", {"index_overflow_kernel", "thread (0,0,0)", bug("overflow")});
}
#endif

}  // namespace
}  // namespace zhgpt::test
