// Arena: many tensors in one allocation. First all are named with their shapes, then memory is taken once.
#pragma once

#include <initializer_list>
#include <vector>

#include "zhgpt/backend.h"

namespace zhgpt {

class Arena {
 public:
  // `tensor` receives its memory in `allocate`; it must stay where it is until then.
  void add(Tensor& tensor, DType dtype, std::initializer_list<std::int64_t> shape) {
    constexpr std::int64_t kAlignment = 256;  // bytes
    tensor = Tensor(nullptr, dtype, shape);
    slots_.push_back({&tensor, bytes_});
    bytes_ += (tensor.bytes() + kAlignment - 1) / kAlignment * kAlignment;
  }
  std::int64_t bytes() const { return bytes_; }

  Buffer allocate(Backend& backend, const char* what) {
    Buffer buffer = backend.allocate(bytes_, what);
    for (const Slot& slot : slots_) slot.tensor->data = static_cast<char*>(buffer.data()) + slot.offset;
    return buffer;
  }

 private:
  struct Slot {
    Tensor* tensor;
    std::int64_t offset;
  };
  std::vector<Slot> slots_;
  std::int64_t bytes_ = 0;
};

}  // namespace zhgpt
