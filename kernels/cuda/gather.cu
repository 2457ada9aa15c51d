// GatherBatch: row b of inputs and targets (B, T) i32 = a window of the token array (n_tokens) u16 or i32,
// which lies on the device; targets are one token further. Which window, `order` computes from the step in
// device memory, so that the recorded launch walks through the corpus without the host.
#include "cuda/launch.cuh"
#include "cuda/ops.h"
#include "cuda/packs.cuh"

namespace zhgpt::cuda {
namespace {

constexpr int kThreads = 128;

// A block a row, a thread kSize positions. Windows begin anywhere, so that tokens are read one by one; all
// but the first and the last token are read twice, the second time out of L1.
template <class Token, int kSize>
__global__ void __launch_bounds__(kThreads)
    gather_batch_kernel(std::int32_t* inputs, std::int32_t* targets, const Token* tokens, DataOrder order,
                        std::int64_t micro_step, std::int64_t micro_steps, const StepState* state,
                        std::int64_t B, std::int64_t T) {
  ZHGPT_SHARED(std::int64_t, start, [1]);
  const std::int64_t b = blockIdx.x;
  if (threadIdx.x == 0) start[0] = order.start((state->step * micro_steps + micro_step) * B + b);
  __syncthreads();  // the start is known
  const Token* window = tokens + start[0];
  for (std::int64_t t = std::int64_t{threadIdx.x} * kSize; t < T; t += kThreads * kSize) {
    Pack<std::int32_t, kSize> input, target;
#pragma unroll
    for (int k = 0; k < kSize; ++k) {
      input[k] = static_cast<std::int32_t>(window[t + k]);
      target[k] = static_cast<std::int32_t>(window[t + k + 1]);
    }
    if constexpr (kSize == 1) {
      inputs[b * T + t] = input[0];
      targets[b * T + t] = target[0];
    } else {
      store128_whole(inputs + b * T + t, input);
      store128_whole(targets + b * T + t, target);
    }
  }
}

template <class Token>
void gather(Stream& stream, const GatherBatch& op) {
  const std::int64_t B = op.inputs.dim(0), T = op.inputs.dim(1);
  auto *inputs = op.inputs.as<std::int32_t>(), *targets = op.targets.as<std::int32_t>();
  const Cost cost{.bytes = static_cast<double>(B * T) * (2 * sizeof(std::int32_t) + sizeof(Token))};
  with_pack_size<std::int32_t>(in_packs<std::int32_t>(T, {inputs, targets}), [&](auto size) {
    constexpr int kSize = decltype(size)::value;
    ZHGPT_LAUNCH(stream, cost, (LaunchShape{static_cast<unsigned>(B), kThreads}),
                 (gather_batch_kernel<Token, kSize>), inputs, targets, op.tokens.as<Token>(), op.order,
                 op.micro_step, op.micro_steps, op.state, B, T);
  });
}

}  // namespace

template <class T>
void execute(Context& context, const GatherBatch& op) {
  if (op.tokens.dtype == DType::u16) {
    gather<std::uint16_t>(context.stream, op);
  } else {
    gather<std::int32_t>(context.stream, op);
  }
}

ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(GatherBatch)

}  // namespace zhgpt::cuda
