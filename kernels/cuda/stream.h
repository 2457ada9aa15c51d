// A CUDA stream, or a dry one on which launches are only written down.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>

#include "cuda/ledger.h"

namespace zhgpt::cuda {

class Stream {
 public:
  // A dry stream touches no device, so that costs can be known where there is none.
  enum class Mode { device, dry };

  // Throws DeviceError. Calls that name no stream, such as cudaMemcpy, do not wait for this one.
  explicit Stream(Mode mode = Mode::device);

  bool dry() const { return handle_ == nullptr; }
  cudaStream_t get() const { return handle_.get(); }  // nullptr when dry
  // Zeroes device memory in its turn on the stream. Throws DeviceError.
  void zero(void* device, std::size_t bytes);
  // Waits for all that was put on the stream. Throws DeviceError when any of it failed.
  void synchronize() const;

  Ledger* ledger = nullptr;  // not owned; where launches are written down

 private:
  struct Destroy {
    void operator()(cudaStream_t stream) const noexcept;
  };
  std::unique_ptr<CUstream_st, Destroy> handle_;
};

}  // namespace zhgpt::cuda
