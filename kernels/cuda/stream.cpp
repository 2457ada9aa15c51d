#include "cuda/stream.h"

#include "cuda/error.h"

namespace zhgpt::cuda {

Stream::Stream(Mode mode) {
  if (mode == Mode::dry) return;
  cudaStream_t stream;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "creating a stream");
  handle_.reset(stream);
}

void Stream::zero(void* device, std::size_t bytes) {
  if (ledger) ledger->add({"zero", {.bytes = static_cast<double>(bytes)}, {}});
  if (!dry()) check(cudaMemsetAsync(device, 0, bytes, get()), "zeroing device memory");
}

void Stream::synchronize() const {
  if (!dry()) check(cudaStreamSynchronize(get()), "waiting for a stream");
}

void Stream::Destroy::operator()(cudaStream_t stream) const noexcept {
  check_nothrow(cudaStreamDestroy(stream), "destroying a stream");
}

StreamEvent::StreamEvent() {
  check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "creating an event");
}
StreamEvent::~StreamEvent() {
  check_nothrow(cudaEventDestroy(event_), "destroying an event");
}
void StreamEvent::record(const Stream& stream) const {
  check(cudaEventRecord(event_, stream.get()), "recording an event");
}
void StreamEvent::hold_back(const Stream& stream) const {
  check(cudaStreamWaitEvent(stream.get(), event_, 0), "waiting for an event");
}
void StreamEvent::wait() const {
  check(cudaEventSynchronize(event_), "waiting for an event");
}

TimedEvent::TimedEvent() {
  cudaEvent_t event;
  check(cudaEventCreate(&event), "creating an event");
  handle_.reset(event);
}

void TimedEvent::record(const Stream& stream) const {
  check(cudaEventRecord(handle_.get(), stream.get()), "cudaEventRecord");
}

double TimedEvent::ms_since(const TimedEvent& earlier) const {
  float ms = 0;
  check(cudaEventElapsedTime(&ms, earlier.handle_.get(), handle_.get()), "cudaEventElapsedTime");
  return static_cast<double>(ms);
}

void TimedEvent::Destroy::operator()(cudaEvent_t event) const noexcept {
  check_nothrow(cudaEventDestroy(event), "destroying an event");
}

}  // namespace zhgpt::cuda
