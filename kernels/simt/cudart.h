// What the parts of the stand-in for the CUDA runtime share.
#pragma once

#include <cuda_runtime_api.h>

#include <mutex>

#include "simt/device_fault.h"
#include "simt/stream.h"

namespace zhgpt::simt {

std::recursive_mutex& runtime_mutex();  // one call of the runtime at a time
cudaError_t& last_error();              // for cudaGetLastError

enum class DuringCapture { allowed, forbidden };
bool capture_forbids();  // a capture is on that such a call breaks

// The frame of every call: one at a time, refused after a fault, its error remembered.
template <class Body>
cudaError_t call(DuringCapture during_capture, Body body) {
  const std::lock_guard lock(runtime_mutex());
  cudaError_t status = cudaErrorLaunchFailure;
  if (device_fault().empty()) {
    status = during_capture == DuringCapture::forbidden && capture_forbids()
                 ? cudaErrorStreamCaptureUnsupported
                 : body();
    if (!device_fault().empty()) status = cudaErrorLaunchFailure;  // which body ran into
  }
  if (status != cudaSuccess && status != cudaErrorNotReady) last_error() = status;
  return status;
}

// Calls that name a stream: a stream that exists, and for waiting one that is not being captured.
template <class Body>
cudaError_t call_on(cudaStream_t stream, Body body) {
  return call(DuringCapture::allowed,
              [&] { return is_stream(stream) ? body() : cudaErrorInvalidResourceHandle; });
}

}  // namespace zhgpt::simt
