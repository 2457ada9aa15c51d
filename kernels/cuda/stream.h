// A CUDA stream, or a dry one on which launches are only written down.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>

#include "cuda/ledger.h"

namespace zhgpt::cuda {

class Stream {
 public:
  // A dry stream touches no device, so that costs can be known where there is none.
  enum class Mode { device, dry };

  // Throws DeviceError. Calls that name no stream, such as cudaMemcpy, do not wait for this one.
  explicit Stream(Mode mode = Mode::device);

  bool dry() const { return handle_ == nullptr; }
  cudaStream_t get() const { return handle_.get(); }  // nullptr when dry
  // Zeroes device memory in its turn on the stream. Throws DeviceError.
  void zero(void* device, std::size_t bytes);
  // Waits for all that was put on the stream. Throws DeviceError when any of it failed.
  void synchronize() const;

  Ledger* ledger = nullptr;  // not owned; where launches are written down

 private:
  struct Destroy {
    void operator()(cudaStream_t stream) const noexcept;
  };
  std::unique_ptr<CUstream_st, Destroy> handle_;
};

// While it lives, launches are written down in `ledger`.
class LedgerScope {
 public:
  LedgerScope(Stream& stream, Ledger& ledger) : stream_(stream), before_(stream.ledger) {
    stream.ledger = &ledger;
  }
  ~LedgerScope() { stream_.ledger = before_; }
  LedgerScope(const LedgerScope&) = delete;
  LedgerScope& operator=(const LedgerScope&) = delete;

 private:
  Stream& stream_;
  Ledger* before_;
};

// A point of a stream that others wait for. All throw DeviceError.
class StreamEvent {
 public:
  StreamEvent();
  StreamEvent(const StreamEvent&) = delete;
  StreamEvent& operator=(const StreamEvent&) = delete;
  ~StreamEvent();
  void record(const Stream& stream) const;     // here the stream is now
  void hold_back(const Stream& stream) const;  // until what was recorded has happened
  void wait() const;                           // the host, likewise

 private:
  cudaEvent_t event_ = nullptr;
};

// A point of a stream and the time at which the device reached it.
class TimedEvent {
 public:
  TimedEvent();  // throws DeviceError, as do the others
  void record(const Stream& stream) const;
  double ms_since(const TimedEvent& earlier) const;  // REQUIRES: the stream has reached both

 private:
  struct Destroy {
    void operator()(cudaEvent_t event) const noexcept;
  };
  std::unique_ptr<CUevent_st, Destroy> handle_;
};

}  // namespace zhgpt::cuda
