// GatherBatch: row b of inputs and targets (B, T) i32 = a window of the text, u16 or i32; targets are one
// token further. The window lies in the text (n_tokens) where `order` says, or in a row of (rows, T + 1);
// both are computed from the state in device memory, so that the recorded launch walks on without the host.
#include "cuda/launch.cuh"
#include "cuda/ops.h"
#include "cuda/packs.cuh"

namespace zhgpt::cuda {
namespace {

constexpr int kThreads = 128;

// A block a row, a thread kSize positions. Windows begin anywhere, so that tokens are read one by one; all
// but the first and the last token are read twice, the second time out of L1. kInRows: tokens are `rows`
// rows.
template <class Token, int kSize, bool kInRows>
__global__ void __launch_bounds__(kThreads)
    gather_batch_kernel(std::int32_t* inputs, std::int32_t* targets, const Token* tokens, std::int64_t rows,
                        DataOrder order, std::int64_t micro_step, std::int64_t micro_steps,
                        const StepState* state, std::int64_t B, std::int64_t T) {
  ZHGPT_SHARED(std::int64_t, start, [1]);
  const std::int64_t b = blockIdx.x;
  if (threadIdx.x == 0) {
    const std::int64_t sample = (state->batch() * micro_steps + micro_step) * B + b;
    if constexpr (kInRows) {
      start[0] = sample % rows * (T + 1);
    } else {
      start[0] = order.start(sample);
    }
  }
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

template <class Token, bool kInRows>
void gather(Stream& stream, const GatherBatch& op) {
  const std::int64_t B = op.inputs.dim(0), T = op.inputs.dim(1);
  auto *inputs = op.inputs.as<std::int32_t>(), *targets = op.targets.as<std::int32_t>();
  const Cost cost{.bytes = static_cast<double>(B * T) * (2 * sizeof(std::int32_t) + sizeof(Token))};
  with_pack_size<std::int32_t>(in_packs<std::int32_t>(T, {inputs, targets}), [&](auto size) {
    constexpr int kSize = decltype(size)::value;
    ZHGPT_LAUNCH(stream, cost, (LaunchShape{static_cast<unsigned>(B), kThreads}),
                 (gather_batch_kernel<Token, kSize, kInRows>), inputs, targets, op.tokens.as<Token>(),
                 op.tokens.dim(0), op.order, op.micro_step, op.micro_steps, op.state, B, T);
  });
}

}  // namespace

template <class T>
void execute(Context& context, const GatherBatch& op) {
  const auto gather_from = [&]<class Token>(const Token*) {
    if (op.tokens.rank == 2) {
      gather<Token, true>(context.stream, op);
    } else {
      gather<Token, false>(context.stream, op);
    }
  };
  if (op.tokens.dtype == DType::u16) {
    gather_from(op.tokens.as<std::uint16_t>());
  } else {
    gather_from(op.tokens.as<std::int32_t>());
  }
}

ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(GatherBatch)

}  // namespace zhgpt::cuda
