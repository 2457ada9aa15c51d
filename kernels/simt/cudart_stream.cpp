// The stand-in for the CUDA runtime: streams, events, graphs.
#include "simt/cudart.h"

using namespace zhgpt::simt;

namespace {

// Waiting for a stream that is being captured is never allowed.
template <class Body>
cudaError_t call_outside_capture(cudaStream_t stream, Body body) {
  return call_on(stream, [&] {
    if (!stream->capture) return body();
    stream->capture->broken = true;
    return cudaErrorStreamCaptureUnsupported;
  });
}

cudaError_t poll(const CompletionPtr& completion) {
  if (completion && !completion->done) step_towards(completion);
  return !completion || completion->done ? cudaSuccess : cudaErrorNotReady;
}

}  // namespace

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return call(DuringCapture::allowed, [&] {
    *stream = create_stream(flags != cudaStreamNonBlocking);
    return cudaSuccess;
  });
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::lock_guard lock(runtime_mutex());
  if (!is_stream(stream)) return cudaErrorInvalidResourceHandle;
  destroy_stream(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return call_outside_capture(stream, [&] {
    drain(stream);
    return cudaSuccess;
  });
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return call_outside_capture(stream, [&] { return poll(last_of(stream)); });
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return call_on(stream, [&] {
    const cudaError_t status = wait(stream, event);
    if (status != cudaSuccess && stream->capture) stream->capture->broken = true;
    return status;
  });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return call(DuringCapture::allowed, [&] {
    *event = new CUevent_st{!(flags & cudaEventDisableTiming), nullptr, nullptr, {}};
    return cudaSuccess;
  });
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const std::lock_guard lock(runtime_mutex());
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return call_on(stream, [&] {
    record(event, stream);
    return cudaSuccess;
  });
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return call(DuringCapture::allowed, [&] {
    if (event->capture) return cudaErrorStreamCaptureUnsupported;
    run_until(event->completion);
    return cudaSuccess;
  });
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  return call(DuringCapture::allowed, [&] {
    if (event->capture) return cudaErrorStreamCaptureUnsupported;
    return poll(event->completion);
  });
}
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t from, cudaEvent_t to) {
  return call(DuringCapture::allowed, [&] {
    if (!from->timed || !to->timed || !from->completion || !to->completion) {
      return cudaErrorInvalidResourceHandle;
    }
    if (!from->completion->done || !to->completion->done) return cudaErrorNotReady;
    *ms = static_cast<float>(to->completion->at_ms - from->completion->at_ms);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return call_outside_capture(stream, [&] {
    begin_capture(stream, mode);
    return cudaSuccess;
  });
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  return call_on(stream, [&] { return end_capture(stream, graph); });
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  return call_on(stream, [&] {
    *status = !stream->capture          ? cudaStreamCaptureStatusNone
              : stream->capture->broken ? cudaStreamCaptureStatusInvalidated
                                        : cudaStreamCaptureStatusActive;
    return cudaSuccess;
  });
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  return call(DuringCapture::allowed, [&] {
    *executable = new CUgraphExec_st{*graph};
    return cudaSuccess;
  });
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return call_outside_capture(stream, [&] {
    submit(stream, [graph = Graph(*executable)] { run_graph(graph); });
    return cudaSuccess;
  });
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}

}  // extern "C"
