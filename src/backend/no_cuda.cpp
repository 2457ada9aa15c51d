// What a build without CUDA links in the place of the CUDA backend.
#include "backend/factories.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {

bool cuda_present() {
  return false;
}

std::unique_ptr<Backend> make_cuda_backend(int ordinal, const CudaOptions&) {
  throw DeviceError(tr(Msg::no_cuda_in_this_build, "cuda:" + std::to_string(ordinal)));
}

std::unique_ptr<Backend> make_dry_cuda_backend(const CudaOptions&, std::int64_t) {
  throw DeviceError(tr(Msg::no_cuda_in_this_build, "cuda"));
}

}  // namespace zhgpt
