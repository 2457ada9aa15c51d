// Errors of the CUDA runtime as DeviceError.
#pragma once

#include <cuda_runtime_api.h>

namespace zhgpt::cuda {

// Throws DeviceError: "<what>: <CUDA's text> (<its name>)".
void check(cudaError_t status, const char* what);

// For destructors: says the same on standard error and goes on.
void check_nothrow(cudaError_t status, const char* what) noexcept;

}  // namespace zhgpt::cuda
