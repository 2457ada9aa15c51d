// The stand-in for the CUDA runtime: errors, the device, launches.
#include <algorithm>
#include <cstring>
#include <map>

#include "simt/cudart.h"
#include "simt/kernel.h"
#include "simt/launch.h"
#include "simt/memory.h"
#include "simt/region.h"
#include "simt/settings.h"

namespace zhgpt::simt {
namespace {

// Plausible values of an sm_90 device.
constexpr unsigned kThreadsPerBlock = 1024;

std::map<const void*, std::size_t>& allowed_shared_bytes() {
  static std::map<const void*, std::size_t> instance;
  return instance;
}

#define ZHGPT_SIMT_ERRORS(X)                                                                        \
  X(cudaSuccess, "no error")                                                                        \
  X(cudaErrorInvalidValue, "invalid argument")                                                      \
  X(cudaErrorMemoryAllocation, "out of memory")                                                     \
  X(cudaErrorInvalidConfiguration, "invalid grid, block or shared memory size")                     \
  X(cudaErrorInvalidDevice, "no such device")                                                       \
  X(cudaErrorInvalidResourceHandle, "not a stream, event or graph (a stream must always be named)") \
  X(cudaErrorNotReady, "not finished yet")                                                          \
  X(cudaErrorLaunchFailure, "a kernel failed")                                                      \
  X(cudaErrorStreamCaptureUnsupported, "not permitted while a stream is captured")                  \
  X(cudaErrorStreamCaptureInvalidated, "the capture was broken by an earlier error")                \
  X(cudaErrorStreamCaptureMerge, "would merge two captures")                                        \
  X(cudaErrorStreamCaptureUnmatched, "not the stream that this capture began on")                   \
  X(cudaErrorStreamCaptureUnjoined, "a stream was forked off in the capture and not joined")        \
  X(cudaErrorStreamCaptureIsolation, "a capture would depend on work outside it")

bool fits(dim3 grid, dim3 block) {
  const auto within = [](unsigned value, unsigned limit) { return value >= 1 && value <= limit; };
  return within(grid.x, 0x7fffffff) && within(grid.y, 65535) && within(grid.z, 65535) &&
         within(block.x, kThreadsPerBlock) && within(block.y, kThreadsPerBlock) && within(block.z, 64) &&
         block.x * block.y * block.z <= kThreadsPerBlock;
}

}  // namespace

std::recursive_mutex& runtime_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

cudaError_t& last_error() {
  static thread_local cudaError_t error = cudaSuccess;
  return error;
}

bool capture_forbids() {
  bool forbidden = false;
  for (const cudaStream_t stream : streams()) {
    if (!stream->capture || stream->capture->relaxed) continue;
    stream->capture->broken = forbidden = true;
  }
  return forbidden;
}

cudaError_t enqueue(cudaStream_t stream, const void* function, Kernel kernel) {
  return call_on(stream, [&] {
    if (!fits(kernel.grid, kernel.block)) return cudaErrorInvalidConfiguration;
    if (kernel.shared_bytes > std::max(kSharedBytes, allowed_shared_bytes()[function])) {
      return cudaErrorInvalidValue;
    }
    submit(stream, [kernel = std::move(kernel)] { set_device_fault(execute(kernel)); });
    return cudaSuccess;
  });
}

}  // namespace zhgpt::simt

using namespace zhgpt::simt;

extern "C" {

const char* cudaGetErrorString(cudaError_t error) {
  const std::lock_guard lock(runtime_mutex());
  if (error == cudaErrorLaunchFailure && !device_fault().empty()) return keep(device_fault());
#define ZHGPT_SIMT_CASE(code, text) \
  case code:                        \
    return text;
  switch (static_cast<int>(error)) {
    ZHGPT_SIMT_ERRORS(ZHGPT_SIMT_CASE)
    default:
      return "unrecognized error code";
  }
#undef ZHGPT_SIMT_CASE
}
const char* cudaGetErrorName(cudaError_t error) {
#define ZHGPT_SIMT_CASE(code, text) \
  case code:                        \
    return #code;
  switch (static_cast<int>(error)) {
    ZHGPT_SIMT_ERRORS(ZHGPT_SIMT_CASE)
    default:
      return "unrecognized error code";
  }
#undef ZHGPT_SIMT_CASE
}
cudaError_t cudaPeekAtLastError() {
  const std::lock_guard lock(runtime_mutex());
  return device_fault().empty() ? last_error() : cudaErrorLaunchFailure;
}
cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  last_error() = cudaSuccess;
  return error;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  return call(DuringCapture::allowed, [&] { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; });
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  return cudaDriverGetVersion(version);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return call(DuringCapture::allowed, [&] {
    if (device != 0) return cudaErrorInvalidDevice;
    *properties = {};
    std::strcpy(properties->name, "host SIMT runtime");
    properties->major = 9;
    properties->minor = 0;
    properties->totalGlobalMem = device_memory_limit();
    properties->multiProcessorCount = 4;  // few, so that persistent kernels stay quick here
    properties->warpSize = 32;
    properties->maxThreadsPerBlock = kThreadsPerBlock;
    properties->maxThreadsPerMultiProcessor = 2048;
    properties->sharedMemPerBlock = kSharedBytes;
    properties->sharedMemPerBlockOptin = kSharedBytesOptIn;
    properties->sharedMemPerMultiprocessor = kSharedBytesOptIn + 1024;
    properties->regsPerBlock = properties->regsPerMultiprocessor = 65536;
    properties->l2CacheSize = 50 << 20;
    properties->concurrentKernels = properties->asyncEngineCount = 1;
    return cudaSuccess;
  });
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp properties;
  if (const cudaError_t error = cudaGetDeviceProperties(&properties, device)) return error;
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor:
      *value = properties.major;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = properties.minor;
      return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
      *value = properties.multiProcessorCount;
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(properties.sharedMemPerBlockOptin);
      return cudaSuccess;
    default:
      return cudaErrorInvalidValue;
  }
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  return call(DuringCapture::allowed, [&] {
    const bool ok = attribute == cudaFuncAttributeMaxDynamicSharedMemorySize && value >= 0 &&
                    static_cast<std::size_t>(value) <= kSharedBytesOptIn;
    if (!ok) return cudaErrorInvalidValue;
    allowed_shared_bytes()[function] = static_cast<std::size_t>(value);
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceSynchronize() {
  return call(DuringCapture::forbidden, [] {
    for (const cudaStream_t stream : streams()) drain(stream);
    return cudaSuccess;
  });
}
// Forgets faults, captures and waiting work. Memory, streams and events stay their owners' to give back.
cudaError_t cudaDeviceReset() {
  const std::lock_guard lock(runtime_mutex());
  drop_all_work();
  for (const cudaStream_t stream : streams()) stream->capture = nullptr;
  clear_device_fault();
  last_error() = cudaSuccess;
  return cudaSuccess;
}

}  // extern "C"
