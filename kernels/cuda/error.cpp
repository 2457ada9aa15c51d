#include "cuda/error.h"

#include <cstdio>
#include <string>

#include "zhgpt/error.h"

namespace zhgpt::cuda {

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  throw DeviceError(std::string(what) + ": " + cudaGetErrorString(status) + " (" + cudaGetErrorName(status) +
                    ")");
}

void check_nothrow(cudaError_t status, const char* what) noexcept {
  if (status == cudaSuccess) return;
  std::fprintf(stderr, "zhgpt: %s: %s\n", what, cudaGetErrorString(status));
}

}  // namespace zhgpt::cuda
