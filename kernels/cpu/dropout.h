// The dropout mask of one place of the model, drawn again wherever it is needed (ops.h, Dropout).
#pragma once

#include "zhgpt/ops.h"

namespace zhgpt::cpu {

class DropoutMask {
 public:
  explicit DropoutMask(const Dropout& dropout) : p_(dropout.p), site_(dropout.site) {
    if (p_ == 0) return;
    seed_ = dropout.state->seed;
    step_ = static_cast<std::uint64_t>(dropout.state->step * dropout.micro_steps + dropout.micro_step);
  }
  // x[k] *= the mask of element first + k, over 1 - p.
  template <class T>
  void apply(T* x, std::int64_t first, std::int64_t count) const {
    if (p_ == 0) return;
    const T scale = 1 / (1 - static_cast<T>(p_));
    PhiloxBlock block{};
    for (std::int64_t k = 0; k < count; ++k) {
      const std::int64_t i = first + k;
      if (k == 0 || i % 4 == 0) {
        block = random_block(seed_, RandomStream::dropout, step_, site_, static_cast<std::uint64_t>(i / 4));
      }
      const bool kept = uniform_float(block[static_cast<std::size_t>(i % 4)]) >= p_;
      x[k] = kept ? x[k] * scale : 0;
    }
  }

 private:
  float p_;
  std::uint32_t site_;
  std::uint64_t seed_ = 0, step_ = 0;
};

}  // namespace zhgpt::cpu
