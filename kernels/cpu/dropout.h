// The dropout mask of one place of the model, drawn again wherever it is needed (ops.h, Dropout).
#pragma once

#include <algorithm>
#include <cmath>

#include "zhgpt/ops.h"

namespace zhgpt::cpu {

class DropoutMask {
 public:
  explicit DropoutMask(const Dropout& dropout)
      : p_(dropout.p), least_kept_(static_cast<std::uint32_t>(std::ceil(p_ * 0x1p24f))), site_(dropout.site) {
    if (p_ == 0) return;
    seed_ = dropout.state->seed;
    step_ = static_cast<std::uint64_t>(dropout.state->step * dropout.micro_steps + dropout.micro_step);
  }
  // x[k] *= the mask of element first + k, over 1 - p. Numbers are drawn for 64 elements at a time, some of
  // them for nothing, so that both loops become vector code.
  template <class T>
  void apply(T* x, std::int64_t first, std::int64_t count) const {
    if (p_ == 0) return;
    const T scale = 1 / (1 - static_cast<T>(p_));
    std::uint32_t numbers[4 * kBlocks];
    for (std::int64_t done = 0; done < count;) {
      const std::int64_t block = (first + done) / 4, lane = (first + done) % 4;
      const std::int64_t some = std::min(4 * kBlocks - lane, count - done);
      for (std::int64_t b = 0; b < kBlocks; ++b) {
        const auto index = static_cast<std::uint64_t>(block + b);
        const PhiloxBlock drawn = random_block(seed_, RandomStream::dropout, step_, site_, index);
        for (std::size_t i = 0; i < 4; ++i) numbers[4 * b + static_cast<std::int64_t>(i)] = drawn[i];
      }
      for (std::int64_t k = 0; k < some; ++k) {
        x[done + k] = numbers[lane + k] >> 8 >= least_kept_ ? x[done + k] * scale : 0;
      }
      done += some;
    }
  }

 private:
  static constexpr std::int64_t kBlocks = 16;

  float p_;
  std::uint32_t least_kept_;  // uniform_float(u) >= p as whole numbers: (u >> 8) >= p * 2^24
  std::uint32_t site_;
  std::uint64_t seed_ = 0, step_ = 0;
};

}  // namespace zhgpt::cpu
