#include "cuda/device_copy.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "cuda/error.h"

namespace zhgpt::cuda {

PinnedCopy::PinnedCopy(Stream& writer, Buffer memory, std::vector<Tensor> of, std::int64_t piece_bytes)
    : writer_(writer),
      memory_(std::move(memory)),
      of_(std::move(of)),
      piece_bytes_(std::min(piece_bytes, memory_.bytes())) {
  for (Slot& slot : slots_) slot.host = page_locked(static_cast<std::size_t>(piece_bytes_));
}

PinnedCopy::~PinnedCopy() {
  check_nothrow(cudaStreamSynchronize(copies_.get()), "end of a copy");  // a piece may still arrive
}

// A piece of the copy before may still be on its way, read ahead and never asked for: it arrives torn, and
// its slot is filled again, later on the same stream, before anybody reads it.
void PinnedCopy::take() {
  auto* to = static_cast<std::byte*>(memory_.data());
  for (const Tensor& tensor : of_) {
    check(cudaMemcpyAsync(to, tensor.data, static_cast<std::size_t>(tensor.bytes()), cudaMemcpyDeviceToDevice,
                          writer_.get()),
          "copy within the device");
    to += tensor.bytes();
  }
  taken_.record(writer_);
  taken_.hold_back(copies_);
  for (Slot& slot : slots_) slot.piece = -1;
}

// Whoever reads has done with what the slot held: pieces are asked for by that one thread.
PinnedCopy::Slot& PinnedCopy::fetch(std::int64_t piece) {
  Slot& slot = slots_[static_cast<std::size_t>(piece % kPieces)];
  if (slot.piece == piece) return slot;
  const std::int64_t begin = piece * piece_bytes_, bytes = std::min(piece_bytes_, memory_.bytes() - begin);
  check(cudaMemcpyAsync(slot.host.get(), static_cast<std::byte*>(memory_.data()) + begin,
                        static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost, copies_.get()),
        "copy to the host");
  slot.arrived.record(copies_);
  slot.piece = piece;
  return slot;
}

void PinnedCopy::read(std::int64_t offset, std::span<std::byte> to) {
  while (!to.empty()) {
    const std::int64_t piece = offset / piece_bytes_, within = offset % piece_bytes_;
    const Slot& slot = fetch(piece);
    if ((piece + 1) * piece_bytes_ < memory_.bytes()) fetch(piece + 1);
    slot.arrived.wait();
    const std::size_t size = std::min(to.size(), static_cast<std::size_t>(piece_bytes_ - within));
    std::memcpy(to.data(), static_cast<std::byte*>(slot.host.get()) + within, size);
    offset += static_cast<std::int64_t>(size);
    to = to.subspan(size);
  }
}

}  // namespace zhgpt::cuda
