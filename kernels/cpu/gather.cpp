// GatherBatch: token windows of the corpus into the batch's inputs and targets. A copy; nothing to share out.
#include "cpu/ops.h"

namespace zhgpt::cpu {
namespace {

template <class Token>
void gather(const GatherBatch& op, const Token* tokens) {
  const std::int64_t B = op.inputs.dim(0), T = op.inputs.dim(1);
  const std::int64_t first = (op.state->batch() * op.micro_steps + op.micro_step) * B;
  for (std::int64_t b = 0; b < B; ++b) {
    const std::int64_t sample = first + b;
    const Token* window =
        tokens + (op.tokens.rank == 2 ? sample % op.tokens.dim(0) * (T + 1) : op.order.start(sample));
    std::int32_t* inputs = op.inputs.as<std::int32_t>() + b * T;
    std::int32_t* targets = op.targets.as<std::int32_t>() + b * T;
    for (std::int64_t t = 0; t < T; ++t) {
      inputs[t] = window[t];
      targets[t] = window[t + 1];
    }
  }
}

}  // namespace

template <class T>
void execute(Context&, const GatherBatch& op) {
  if (op.tokens.dtype == DType::u16) {
    gather(op, op.tokens.as<std::uint16_t>());
  } else {
    gather(op, op.tokens.as<std::int32_t>());
  }
}

ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(GatherBatch)

}  // namespace zhgpt::cpu
