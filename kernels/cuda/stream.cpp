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

}  // namespace zhgpt::cuda
