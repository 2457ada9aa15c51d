#include "cuda/graph.h"

#include <utility>

#include "cuda/error.h"

namespace zhgpt::cuda {

GraphRecording::GraphRecording(Context& context, std::function<void()> operations)
    : context_(context), operations_(std::move(operations)) {}

GraphRecording::~GraphRecording() {
  release();
}

void GraphRecording::release() noexcept {
  if (graph_) check_nothrow(cudaGraphExecDestroy(graph_), "cudaGraphExecDestroy");
  graph_ = nullptr;
}

void GraphRecording::replay() {
  if (scratch_ != context_.scratch.data()) {
    release();
    warm_ = false;
  }
  if (!warm_) {
    operations_();
    scratch_ = context_.scratch.data();
    warm_ = true;
    return;
  }
  if (!graph_) capture();
  check(cudaGraphLaunch(graph_, context_.stream.get()), "launch of the captured operations");
}

void GraphRecording::capture() {
  cudaGraph_t captured = nullptr;
  cudaStream_t stream = context_.stream.get();
  // Thread-local: what other threads do meanwhile, such as a checkpoint's copies, is their own business.
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "begin of capture");
  try {
    operations_();
  } catch (...) {
    if (cudaStreamEndCapture(stream, &captured) == cudaSuccess) cudaGraphDestroy(captured);
    throw;
  }
  check(cudaStreamEndCapture(stream, &captured), "end of capture");
  const cudaError_t status = cudaGraphInstantiate(&graph_, captured, 0);
  check_nothrow(cudaGraphDestroy(captured), "cudaGraphDestroy");
  check(status, "instantiation of the captured operations");
}

EventReadback::EventReadback(Stream& stream, std::int64_t bytes)
    : stream_(stream), bytes_(static_cast<std::size_t>(bytes)) {
  check(cudaHostAlloc(&host_, bytes_, cudaHostAllocDefault), "page-locked memory");
  const cudaError_t status = cudaEventCreateWithFlags(&arrived_, cudaEventDisableTiming);
  if (status != cudaSuccess) check_nothrow(cudaFreeHost(host_), "cudaFreeHost");
  check(status, "cudaEventCreate");
}

EventReadback::~EventReadback() {
  check_nothrow(cudaEventSynchronize(arrived_), "cudaEventSynchronize");  // the copy may still write
  check_nothrow(cudaEventDestroy(arrived_), "cudaEventDestroy");
  check_nothrow(cudaFreeHost(host_), "cudaFreeHost");
}

void EventReadback::start(const void* device) {
  check(cudaMemcpyAsync(host_, device, bytes_, cudaMemcpyDeviceToHost, stream_.get()), "copy to the host");
  check(cudaEventRecord(arrived_, stream_.get()), "cudaEventRecord");
}

bool EventReadback::ready() {
  const cudaError_t status = cudaEventQuery(arrived_);
  if (status == cudaErrorNotReady) return false;
  check(status, "copy to the host");
  return true;
}

const void* EventReadback::wait() {
  check(cudaEventSynchronize(arrived_), "copy to the host");
  return host_;
}

}  // namespace zhgpt::cuda
