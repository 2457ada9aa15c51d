// DropoutBackward: dinp (N, C) = dout (N, C) * mask / (1 - p). The forward is part of EmbeddingForward and
// ResidualLayerNormForward; nothing of it is saved, the mask is drawn again (dropout.cuh).
#include "cuda/dropout.cuh"

#include "cuda/launch.cuh"
#include "cuda/ops.h"
#include "cuda/packs.cuh"

namespace zhgpt::cuda {
namespace {

constexpr int kThreads = 256;

// A thread a pack. A full SM of threads has 32 KiB of loads under way, more than its share of memory can
// deliver.
template <class T, int kSize>
__global__ void __launch_bounds__(kThreads)
    dropout_backward_kernel(T* dinp, const T* dout, Dropout dropout, std::int64_t count) {
  const DropoutMask mask(dropout);
  const std::int64_t stride = std::int64_t{gridDim.x} * kThreads * kSize;
  for (std::int64_t i = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * kSize; i < count; i += stride) {
    Pack<float, kSize> x = load_floats<kSize>(dout + i);
    mask.apply(x, i);
    store_floats(dinp + i, x);
  }
}

}  // namespace

template <class T>
void execute(Context& context, const DropoutBackward& op) {
  const std::int64_t count = op.dinp.numel();
  T* dinp = op.dinp.as<T>();
  const T* dout = op.dout.as<T>();
  const Cost cost{.flops = static_cast<double>(count), .bytes = 2.0 * sizeof(T) * static_cast<double>(count)};
  with_pack_size<T>(in_packs<T>(count, {dinp, dout}), [&](auto size) {
    constexpr int kSize = decltype(size)::value;
    ZHGPT_LAUNCH(context.stream, cost, (LaunchShape{blocks_for(count, kThreads * kSize), kThreads}),
                 (dropout_backward_kernel<T, kSize>), dinp, dout, op.dropout, count);
  });
}

ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(DropoutBackward)

}  // namespace zhgpt::cuda
