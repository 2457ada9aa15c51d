#include "cuda/feed.h"

#include "cuda/error.h"

namespace zhgpt::cuda {

PinnedFeed::PinnedFeed(Stream& reader, void* device, std::int64_t slot_bytes)
    : reader_(reader),
      device_(static_cast<char*>(device)),
      slot_bytes_(static_cast<std::size_t>(slot_bytes)),
      host_(page_locked(kSlots * slot_bytes_)) {
  for (const StreamEvent& event : sent_) event.record(reader_);  // the reader's stream has zeroed the slots
}

PinnedFeed::~PinnedFeed() {
  check_nothrow(cudaStreamSynchronize(copies_.get()), "end of a feed");  // copies may still read
}

void* PinnedFeed::begin(std::int64_t slot) {
  const auto s = static_cast<std::size_t>(slot);
  copied_[s].wait();
  return static_cast<char*>(host_.get()) + s * slot_bytes_;
}

// Whatever reads this slot's old contents was run before the other slot was sent, so that nothing later needs
// to be waited for: the copy overlaps with what was run since.
void PinnedFeed::send(std::int64_t slot) {
  const auto s = static_cast<std::size_t>(slot);
  sent_[1 - s].hold_back(copies_);
  check(cudaMemcpyAsync(device_ + s * slot_bytes_, static_cast<char*>(host_.get()) + s * slot_bytes_,
                        slot_bytes_, cudaMemcpyHostToDevice, copies_.get()),
        "copy to the device");
  copied_[s].record(copies_);
  sent_[s].record(reader_);
  copied_[s].hold_back(reader_);
}

}  // namespace zhgpt::cuda
