// SampleTokens: choose_token for each row. AppendTokens: what was chosen becomes part of the texts.
#include <algorithm>

#include "cpu/ops.h"
#include "zhgpt/sampling.h"

namespace zhgpt::cpu {
namespace {

// The last tokens of a text of `position` tokens, oldest first, of those that `recent` (R) has.
std::vector<std::int32_t> in_order(const std::int32_t* recent, std::int64_t R, std::int64_t position) {
  std::vector<std::int32_t> tokens;
  for (std::int64_t at = std::max<std::int64_t>(0, position - R); at < position; ++at) {
    tokens.push_back(recent[at % R]);
  }
  return tokens;
}

}  // namespace

template <class Real>
void execute(Context& context, const SampleTokens& op) {
  const std::int64_t B = op.logits.dim(0), V = op.logits.dim(1), R = op.recent ? op.recent.dim(1) : 0;
  context.pool.for_each_tile(B, [&](std::int64_t b, int) {
    const std::int64_t position = op.positions.as<std::int32_t>()[b];
    std::vector<std::int32_t> recent;
    if (R > 0) recent = in_order(op.recent.as<std::int32_t>() + b * R, R, position);
    const std::span logits(op.logits.as<float>() + b * V, static_cast<std::size_t>(V));
    op.tokens.as<std::int32_t>()[b] =
        choose_token_or_none(logits, recent, op.options,
                             static_cast<std::uint64_t>(static_cast<const std::int64_t*>(op.samples.data)[b]),
                             static_cast<std::uint64_t>(position));
  });
}

template <class Real>
void execute(Context& context, const AppendTokens& op) {
  const std::int64_t B = op.tokens.dim(0), R = op.recent.dim(1), K = op.written.dim(1);
  context.pool.for_each_tile(1, [&](std::int64_t, int) {
    for (std::int64_t b = 0; b < B; ++b) {
      std::int32_t& position = op.positions.as<std::int32_t>()[b];
      const std::int32_t token = op.tokens.as<std::int32_t>()[b];
      op.inputs.as<std::int32_t>()[b] = token == kNoToken ? 0 : token;
      op.recent.as<std::int32_t>()[b * R + position % R] = token;
      op.written.as<std::int32_t>()[b * K + position % K] = token;
      ++op.lengths.as<std::int32_t>()[b];
      ++position;
    }
  });
}

ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(SampleTokens)
ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(AppendTokens)

}  // namespace zhgpt::cpu
