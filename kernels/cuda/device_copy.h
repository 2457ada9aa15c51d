// A copy of device memory that leaves for the host piece by piece, on a stream beside the operations'.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <vector>

#include "cuda/page_locked.h"
#include "cuda/stream.h"
#include "zhgpt/backend.h"

namespace zhgpt::cuda {

// Through two pieces of page-locked memory: while one is read the next one arrives in the other.
class PinnedCopy final : public DeviceCopy {
 public:
  // memory: as many bytes as `of` has.
  PinnedCopy(Stream& writer, Buffer memory, std::vector<Tensor> of, std::int64_t piece_bytes);
  ~PinnedCopy() override;
  void take() override;
  void read(std::int64_t offset, std::span<std::byte> to) override;

 private:
  struct Slot {
    PageLocked host;
    StreamEvent arrived;
    std::int64_t piece = -1;  // that it holds, or that is on its way there
  };
  Slot& fetch(std::int64_t piece);  // unless it is there or on its way

  Stream& writer_;  // of the memory that is copied
  Stream copies_;
  Buffer memory_;
  std::vector<Tensor> of_;
  std::int64_t piece_bytes_;
  StreamEvent taken_;
  std::array<Slot, kPieces> slots_;
};

}  // namespace zhgpt::cuda
