// The makers of each backend, for the factory alone. The build links one of two files that define the CUDA
// maker.
#pragma once

#include <memory>

#include "zhgpt/ceilings.h"

namespace zhgpt {

std::unique_ptr<Backend> make_cpu_backend(int threads);  // REQUIRES: threads >= 1
std::unique_ptr<Backend> make_cuda_backend(int ordinal, const CudaOptions& options);
std::unique_ptr<Backend> make_dry_cpu_backend(int threads, std::int64_t memory_bytes);
std::unique_ptr<Backend> make_dry_cuda_backend(const CudaOptions& options, std::int64_t memory_bytes);
Ceilings measure_ceilings_of_cpu(int threads);  // REQUIRES: threads >= 1
bool cuda_present();                            // this build has CUDA and this machine a device it can use

}  // namespace zhgpt
