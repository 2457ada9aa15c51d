#include "cuda/launch.h"

#include <map>
#include <mutex>
#include <string>

#include "zhgpt/error.h"

namespace zhgpt::cuda::detail {

void throw_launch_error(cudaError_t status, const char* name, const LaunchShape& shape) {
  const auto text = [](dim3 size) {
    return std::to_string(size.x) + "x" + std::to_string(size.y) + "x" + std::to_string(size.z);
  };
  throw DeviceError(std::string("launching ") + name + ", grid " + text(shape.grid) + ", block " +
                    text(shape.block) + ", " + std::to_string(shape.shared_bytes) +
                    " bytes of shared memory: " + cudaGetErrorString(status) + " (" +
                    cudaGetErrorName(status) + ")");
}

void allow_shared_bytes(const void* kernel, const char* name, const LaunchShape& shape) {
  constexpr std::size_t kWithoutAsking = 48 << 10;
  const std::size_t bytes = shape.shared_bytes;
  if (bytes <= kWithoutAsking) return;
  static std::mutex mutex;
  static std::map<const void*, std::size_t> allowed;  // the most so far
  const std::lock_guard lock(mutex);
  if (bytes <= allowed[kernel]) return;
  const auto status =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
  if (status != cudaSuccess) throw_launch_error(status, name, shape);
  allowed[kernel] = bytes;
}

}  // namespace zhgpt::cuda::detail
