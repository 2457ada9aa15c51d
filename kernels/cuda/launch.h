// What launching a kernel needs of the host; see launch.cuh.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda/ledger.h"

namespace zhgpt::cuda::detail {

// Lets `kernel` have that much dynamic shared memory; without asking it may have 48 KiB. Throws DeviceError.
void allow_shared_bytes(const void* kernel, const char* name, const LaunchShape& shape);
[[noreturn]] void throw_launch_error(cudaError_t status, const char* name, const LaunchShape& shape);

}  // namespace zhgpt::cuda::detail
