// DropoutBackward with the mistake that is made most easily: what is left behind the last whole pack is forgotten.
// Takes the place of kernels/cuda/dropout.cu in a program that must notice.
#include "cuda/dropout.cuh"
#include "cuda/launch.cuh"
#include "cuda/ops.h"
#include "cuda/packs.cuh"

namespace zhgpt::cuda {
namespace {

constexpr int kPack = 4, kThreads = 64;

template <class T>
__global__ void dropout_backward_kernel(T* dinp, const T* dout, Dropout dropout, std::int64_t count) {
  const DropoutMask mask(dropout);
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= count / kPack * kPack) return;  // BUG
  Pack<float, 1> x = load_floats<1>(dout + i);
  mask.apply(x, i);
  store_floats(dinp + i, x);
}

}  // namespace

template <class T>
void execute(Context& context, const DropoutBackward& op) {
  const std::int64_t count = op.dinp.numel();
  ZHGPT_LAUNCH(context.stream, Cost{}, (LaunchShape{blocks_for(count, kThreads), kThreads}), dropout_backward_kernel<T>,
               op.dinp.as<T>(), op.dout.as<T>(), op.dropout, count);
}

ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(DropoutBackward)

}  // namespace zhgpt::cuda
