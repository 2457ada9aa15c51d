// Memory that the host fills ahead of a stream, by copies on a stream beside it.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <memory>

#include "cuda/stream.h"
#include "zhgpt/backend.h"

namespace zhgpt::cuda {

// Through page-locked memory, which copies without anybody waiting.
class PinnedFeed final : public Feed {
 public:
  PinnedFeed(Stream& reader, void* device, std::int64_t slot_bytes);
  ~PinnedFeed() override;
  void* begin(std::int64_t slot) override;
  void send(std::int64_t slot) override;

 private:
  struct Free {
    void operator()(void* host) const noexcept;
  };
  class Event {
   public:
    Event();
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    ~Event();
    void record(const Stream& stream) const;     // here the stream is now
    void hold_back(const Stream& stream) const;  // until what was recorded has happened
    void wait() const;                           // the host, likewise
   private:
    cudaEvent_t event_ = nullptr;
  };

  Stream& reader_;
  Stream copies_;
  char* device_;
  std::size_t slot_bytes_;
  std::unique_ptr<void, Free> host_;
  std::array<Event, kSlots> copied_;  // the slot has left the host
  std::array<Event, kSlots> sent_;    // all that the reader was given before the slot was sent is done
};

}  // namespace zhgpt::cuda
