// What every CUDA operation works with: the stream, the dense products, and scratch memory that is grown once
// and kept.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/matmul.h"
#include "cuda/stream.h"

namespace zhgpt::cuda {

class CudnnAttention;

// One block of device memory without initial contents, shared by the operations in turn: the stream keeps
// them apart.
class Scratch {
 public:
  explicit Scratch(Stream& stream) : stream_(stream) {}
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // The block, of at least so many bytes, aligned to 256. Asking for more than ever before waits for the
  // stream and moves it, which must not happen while operations are captured: the first time they are run
  // without. On a dry stream the address means nothing. Throws OutOfMemory.
  void* get(std::size_t bytes);
  const void* data() const { return data_; }
  std::int64_t bytes() const { return static_cast<std::int64_t>(bytes_); }

 private:
  Stream& stream_;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

struct Context {
  Stream& stream;
  Matmul& matmul;
  Scratch& scratch;
  CudnnAttention* cudnn_attention = nullptr;  // takes the place of our own in bf16
};

}  // namespace zhgpt::cuda
