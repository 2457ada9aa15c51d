// Memory that the host fills ahead of a stream, by copies on a stream beside it.
#pragma once

#include <cuda_runtime_api.h>

#include <array>

#include "cuda/page_locked.h"
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
  Stream& reader_;
  Stream copies_;
  char* device_;
  std::size_t slot_bytes_;
  PageLocked host_;
  std::array<StreamEvent, kSlots> copied_;  // the slot has left the host
  std::array<StreamEvent, kSlots> sent_;    // all that the reader was given before the slot was sent is done
};

}  // namespace zhgpt::cuda
