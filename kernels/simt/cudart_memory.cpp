// The stand-in for the CUDA runtime: memory.
#include <cstdlib>
#include <cstring>
#include <map>

#include "simt/cudart.h"
#include "simt/race.h"
#include "simt/region.h"
#include "simt/settings.h"

namespace zhgpt::simt {
namespace {

// cudaHostAlloc's memory: address, bytes. Other host memory is pageable.
std::map<const char*, std::size_t>& pinned() {
  static std::map<const char*, std::size_t> instance;
  return instance;
}
bool is_pinned(const void* address, std::size_t bytes) {
  const auto* first = static_cast<const char*>(address);
  const auto after = pinned().upper_bound(first);
  if (after == pinned().begin()) return false;
  const auto& [begin, size] = *std::prev(after);
  return first + bytes <= begin + size;
}

struct Copy {
  void* to;
  const void* from;
  std::size_t bytes;
  bool to_device, from_device;

  bool is_valid(cudaMemcpyKind kind) const {
    if (bytes == 0) return true;
    if (to_device && !device_region().holds(to, bytes)) return false;
    if (from_device && !device_region().holds(from, bytes)) return false;
    switch (kind) {
      case cudaMemcpyHostToHost:
        return !to_device && !from_device;
      case cudaMemcpyHostToDevice:
        return to_device && !from_device;
      case cudaMemcpyDeviceToHost:
        return !to_device && from_device;
      case cudaMemcpyDeviceToDevice:
        return to_device && from_device;
      default:
        return kind == cudaMemcpyDefault;
    }
  }
  void run() const {
    if (bytes == 0) return;
    std::memcpy(to, from, bytes);
    race::initialised(to, bytes);
  }
};
Copy make_copy(void* to, const void* from, std::size_t bytes) {
  return {to, from, bytes, device_region().contains(to), device_region().contains(from)};
}

void fill(void* to, int value, std::size_t bytes) {
  if (bytes == 0) return;
  std::memset(to, value, bytes);
  race::initialised(to, bytes);
}

// Calls without a stream wait for all streams but those that asked not to be waited for.
void drain_blocking_streams() {
  for (const cudaStream_t stream : streams()) {
    if (stream->blocking) drain(stream);
  }
}

// Device memory is open while `work` runs.
template <class Body>
void with_device_memory(Body body) {
  device_region().open();
  body();
  device_region().close();
}

}  // namespace
}  // namespace zhgpt::simt

using namespace zhgpt::simt;

extern "C" {

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  return call(DuringCapture::forbidden, [&] {
    *memory = nullptr;
    if (bytes == 0) return cudaSuccess;
    const bool fits =
        bytes <= device_memory_limit() && device_region().live_bytes() <= device_memory_limit() - bytes;
    if (fits) *memory = device_region().take(bytes, 256);
    if (!*memory) return cudaErrorMemoryAllocation;
    with_device_memory([] {});  // closes the new piece
    return cudaSuccess;
  });
}
// Works after a fault too: owners give back what they own.
cudaError_t cudaFree(void* memory) {
  const std::lock_guard lock(runtime_mutex());
  if (!memory) return cudaSuccess;
  if (device_fault().empty()) {
    if (capture_forbids()) return cudaErrorStreamCaptureUnsupported;
    for (const cudaStream_t stream : streams()) drain(stream);  // frees only what nobody uses any more
  }
  return device_region().give_back(memory) ? cudaSuccess : cudaErrorInvalidValue;
}
cudaError_t cudaMemGetInfo(std::size_t* free_bytes, std::size_t* total_bytes) {
  return call(DuringCapture::allowed, [&] {
    *total_bytes = device_memory_limit();
    *free_bytes = *total_bytes - std::min(*total_bytes, device_region().live_bytes());
    return cudaSuccess;
  });
}

cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned) {
  return call(DuringCapture::forbidden, [&] {
    *memory = std::malloc(bytes);
    if (!*memory) return cudaErrorMemoryAllocation;
    pinned()[static_cast<char*>(*memory)] = bytes;
    return cudaSuccess;
  });
}
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
  return cudaHostAlloc(memory, bytes, cudaHostAllocDefault);
}
cudaError_t cudaFreeHost(void* memory) {
  const std::lock_guard lock(runtime_mutex());
  if (!memory) return cudaSuccess;
  if (pinned().erase(static_cast<char*>(memory)) == 0) return cudaErrorInvalidValue;
  std::free(memory);
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return call(DuringCapture::forbidden, [&] {
    const Copy copy = make_copy(to, from, bytes);
    if (!copy.is_valid(kind)) return cudaErrorInvalidValue;
    drain_blocking_streams();
    with_device_memory([&] { copy.run(); });
    return cudaSuccess;
  });
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return call_on(stream, [&] {
    const Copy copy = make_copy(to, from, bytes);
    if (!copy.is_valid(kind)) return cudaErrorInvalidValue;
    const bool pageable_source = !copy.from_device && !is_pinned(from, bytes);
    const bool pageable_target = !copy.to_device && !is_pinned(to, bytes);
    if (stream->capture && (pageable_source || pageable_target)) {
      stream->capture->broken = true;
      return cudaErrorStreamCaptureUnsupported;
    }
    // CUDA returns when pageable memory has been read, or written; pinned memory it uses later.
    if (pageable_source) {
      const auto* bytes_now = static_cast<const char*>(from);
      submit(stream, [to, staged = std::vector<char>(bytes_now, bytes_now + bytes)] {
        make_copy(to, staged.data(), staged.size()).run();
      });
    } else {
      submit(stream, [copy] { copy.run(); });
    }
    if (pageable_target) drain(stream);
    return cudaSuccess;
  });
}

cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  return call(DuringCapture::forbidden, [&] {
    if (bytes > 0 && !device_region().holds(to, bytes)) return cudaErrorInvalidValue;
    drain_blocking_streams();
    with_device_memory([&] { fill(to, value, bytes); });
    return cudaSuccess;
  });
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  return call_on(stream, [&] {
    if (bytes > 0 && !device_region().holds(to, bytes)) return cudaErrorInvalidValue;
    submit(stream, [=] { fill(to, value, bytes); });
    return cudaSuccess;
  });
}

}  // extern "C"
