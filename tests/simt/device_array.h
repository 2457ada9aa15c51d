// What tests of kernels share, on the host runtime and on a GPU.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <initializer_list>
#include <utility>
#include <vector>

#include "cuda/error.h"
#include "cuda/stream.h"
#include "zhgpt/error.h"
#ifdef ZHGPT_SIMT
#include "simt/settings.h"
#endif

namespace zhgpt::test {

// Owns an array in device memory.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t count) : count_(count) {
    cuda::check(cudaMalloc(reinterpret_cast<void**>(&data_), count * sizeof(T)), "allocating");
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    cuda::check(cudaMemcpy(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice), "uploading");
    cuda::check(cudaDeviceSynchronize(), "uploading");  // other streams do not wait for the copy
  }
  DeviceArray(std::initializer_list<T> values) : DeviceArray(std::vector<T>(values)) {}
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() { cuda::check_nothrow(cudaFree(data_), "freeing"); }

  T* data() const { return data_; }
  std::vector<T> download() const {
    std::vector<T> values(count_);
    cuda::check(cudaMemcpy(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost), "downloading");
    return values;
  }

 private:
  T* data_ = nullptr;
  std::size_t count_;
};

// Runs `body` under every order of threads, blocks and streams that the runtime knows, and two random ones;
// on a GPU, which takes its own, once.
template <class Body>
void for_each_seed(Body body) {
#ifdef ZHGPT_SIMT
  const std::uint64_t before = simt::seed();
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    simt::set_seed(seed);
    body();
  }
  simt::set_seed(before);
#else
  body();
#endif
}

}  // namespace zhgpt::test
