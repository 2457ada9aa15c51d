// The dropout mask of one place of the model, drawn again wherever it is needed (ops.h, Dropout): the same
// bits as kernels/cpu/dropout.h.
#pragma once

#include "cuda/device.cuh"
#include "zhgpt/ops.h"

namespace zhgpt::cuda {

class DropoutMask {
 public:
  // Every thread reads the step from device memory, so that a recorded launch draws another mask each step.
  __device__ __forceinline__ explicit DropoutMask(const Dropout& dropout)
      : p_(dropout.p),
        scale_(1 / (1 - p_)),
        least_kept_(static_cast<std::uint32_t>(ceilf(p_ * 0x1p24f))),
        site_(dropout.site) {
    if (p_ == 0) return;
    seed_ = dropout.state->seed;
    step_ = static_cast<std::uint64_t>(dropout.state->step * dropout.micro_steps + dropout.micro_step);
  }

  // x[k] *= the mask of element first + k, over 1 - p: four elements for each Philox block. A pack of one
  // element draws a block for itself. REQUIRES: first is a multiple of 4, unless kSize is 1.
  template <int kSize>
  __device__ __forceinline__ void apply(Pack<float, kSize>& x, std::int64_t first) const {
    static_assert(kSize == 1 || kSize % 4 == 0);
    if (p_ == 0) return;
    if constexpr (kSize == 1) {
      const PhiloxBlock drawn = draw(first);
      const std::uint32_t low = first & 1 ? drawn[1] : drawn[0], high = first & 1 ? drawn[3] : drawn[2];
      x[0] = masked(x[0], first & 2 ? high : low);  // an index would put `drawn` into local memory
    } else {
#pragma unroll
      for (int k = 0; k < kSize; k += 4) {
        const PhiloxBlock drawn = draw(first + k);
        x[k] = masked(x[k], drawn[0]);
        x[k + 1] = masked(x[k + 1], drawn[1]);
        x[k + 2] = masked(x[k + 2], drawn[2]);
        x[k + 3] = masked(x[k + 3], drawn[3]);
      }
    }
  }

 private:
  __device__ __forceinline__ PhiloxBlock draw(std::int64_t element) const {
    return random_block(seed_, RandomStream::dropout, step_, site_, static_cast<std::uint64_t>(element) / 4);
  }
  __device__ __forceinline__ float masked(float x, std::uint32_t number) const {
    return number >> 8 >= least_kept_ ? x * scale_ : 0;
  }

  float p_, scale_;
  std::uint32_t least_kept_;  // uniform_float(u) >= p as whole numbers: (u >> 8) >= p * 2^24
  std::uint32_t site_;
  std::uint64_t seed_ = 0, step_ = 0;
};

}  // namespace zhgpt::cuda
