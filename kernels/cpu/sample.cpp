// SampleTokens: choose_token for each row.
#include "cpu/ops.h"
#include "zhgpt/sampling.h"

namespace zhgpt::cpu {

template <class Real>
void execute(Context& context, const SampleTokens& op) {
  const std::int64_t B = op.logits.dim(0), V = op.logits.dim(1), R = op.recent ? op.recent.dim(1) : 0;
  context.pool.for_each_tile(B, [&](std::int64_t b, int) {
    std::span<const std::int32_t> recent;
    if (R > 0) recent = {op.recent.as<std::int32_t>() + b * R, static_cast<std::size_t>(R)};
    const std::span logits(op.logits.as<float>() + b * V, static_cast<std::size_t>(V));
    op.tokens.as<std::int32_t>()[b] =
        choose_token_or_none(logits, recent, op.options, static_cast<std::uint64_t>(op.first_sample + b),
                             static_cast<std::uint64_t>(op.positions.as<std::int32_t>()[b]));
  });
}

ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(SampleTokens)

}  // namespace zhgpt::cpu
