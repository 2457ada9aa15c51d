// The stand-in for the CUDA runtime: memory, limits, what it refuses.
#include "simt/faults.h"
#include "simt/region.h"

namespace zhgpt::test {
namespace {

using namespace zhgpt::cuda;

TEST(Runtime, MemoryRunsOutAtTheLimit) {
  const std::size_t before = simt::device_memory_limit();
  const std::size_t in_use = simt::device_region().live_bytes();
  simt::set_device_memory_limit(in_use + 1000);
  std::size_t free_bytes = 0, total_bytes = 0;
  {
    const DeviceArray<char> a(600);
    check(cudaMemGetInfo(&free_bytes, &total_bytes), "asking");
    EXPECT_EQ(free_bytes, 400u);
    EXPECT_EQ(total_bytes, in_use + 1000);
    EXPECT_TRUE(says(fault_of([] { const DeviceArray<char> b(401); }), {"allocating", "out of memory"}));
    EXPECT_TRUE(says(fault_of([] { const DeviceArray<char> huge(~std::size_t{0}); }), {"out of memory"}));
    const DeviceArray<char> b(400);
  }
  check(cudaMemGetInfo(&free_bytes, &total_bytes), "asking");
  EXPECT_EQ(free_bytes, 1000u);
  simt::set_device_memory_limit(before);
}

TEST(Runtime, DeviceMemoryIsAlignedAndBeginsAsNaN) {
  const DeviceArray<float> a(3), b(3);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.data()) % 256, 0u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(b.data()) % 256, 0u);
  for (const float x : b.download()) EXPECT_TRUE(x != x);
}

TEST(Runtime, RefusesCopiesThatDoNotFitOrGoTheWrongWay) {
  const DeviceArray<float> x({1, 2, 3, 4});
  float host[8] = {};
  const auto copy = [](void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    const cudaError_t status = cudaMemcpy(to, from, bytes, kind);
    EXPECT_EQ(cudaGetLastError(), status);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    return status;
  };
  EXPECT_EQ(copy(host, x.data(), 16, cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_EQ(copy(host, x.data() + 1, 16, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(copy(x.data() + 3, host, 8, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(host, x.data(), 16, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(host, host + 4, 16, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(copy(host, x.data(), 16, cudaMemcpyDefault), cudaSuccess);
  EXPECT_EQ(copy(nullptr, host, 0, cudaMemcpyHostToDevice), cudaSuccess);
  EXPECT_EQ(cudaMemset(nullptr, 0, 0), cudaSuccess);
  EXPECT_EQ(cudaMemset(x.data() + 1, 0, 16), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(x.data() + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
}

TEST(Runtime, EveryCallMustNameAStream) {
  const DeviceArray<float> x({1});
  EXPECT_EQ(cudaMemsetAsync(x.data(), 0, 4, nullptr), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaStreamSynchronize(nullptr), cudaErrorInvalidResourceHandle);
  (void)cudaGetLastError();
}

TEST(Runtime, LooksLikeAHopperDevice) {
  int count = 0, value = 0;
  check(cudaGetDeviceCount(&count), "counting");
  EXPECT_EQ(count, 1);
  EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, 0), "asking");
  EXPECT_EQ(properties.major, 9);
  EXPECT_EQ(properties.sharedMemPerBlockOptin, 227u << 10);
  check(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 0), "asking");
  EXPECT_EQ(value, properties.multiProcessorCount);
  (void)cudaGetLastError();
}

}  // namespace
}  // namespace zhgpt::test
