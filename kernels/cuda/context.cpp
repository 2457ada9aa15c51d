#include "cuda/context.h"

#include <cuda_runtime_api.h>

#include "cuda/error.h"
#include "zhgpt/backend.h"

namespace zhgpt::cuda {

Scratch::~Scratch() {
  if (!stream_.dry()) check_nothrow(cudaFree(data_), "cudaFree of scratch memory");
}

void* Scratch::get(std::size_t bytes) {
  if (bytes > bytes_ && !stream_.dry()) {
    stream_.synchronize();  // what was launched may still use the old block
    check(cudaFree(data_), "cudaFree of scratch memory");
    data_ = nullptr;
    bytes_ = 0;
    const cudaError_t status = cudaMalloc(&data_, bytes);
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // forgotten: said better here
      throw OutOfMemory("scratch memory", static_cast<std::int64_t>(bytes));
    }
    check(status, "scratch memory");
  }
  if (bytes > bytes_) bytes_ = bytes;
  return stream_.dry() ? reinterpret_cast<void*>(std::uintptr_t{256}) : data_;
}

}  // namespace zhgpt::cuda
