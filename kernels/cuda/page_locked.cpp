#include "cuda/page_locked.h"

#include <cuda_runtime_api.h>

#include "cuda/error.h"

namespace zhgpt::cuda {

PageLocked page_locked(std::size_t bytes) {
  void* memory = nullptr;
  check(cudaHostAlloc(&memory, bytes, cudaHostAllocDefault), "page-locked memory");
  return PageLocked(memory);
}

void FreePageLocked::operator()(void* memory) const noexcept {
  check_nothrow(cudaFreeHost(memory), "cudaFreeHost");
}

}  // namespace zhgpt::cuda
