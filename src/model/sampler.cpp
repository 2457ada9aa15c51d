#include "zhgpt/sampler.h"

#include <algorithm>

#include "zhgpt/bfloat16.h"

namespace zhgpt {

void Generator::start(std::span<const std::int32_t> prompt, std::uint64_t sample) {
  tokens_.assign(1, kEndOfTextId);
  tokens_.insert(tokens_.end(), prompt.begin(), prompt.end());
  sample_ = sample;
}

std::span<const float> Generator::logits() {
  Backend& backend = model_.backend();
  const auto length = static_cast<std::int64_t>(tokens_.size());
  const std::int64_t T = std::min(length, model_.config().block_size);
  backend.upload(model_.inputs(1, T).data, tokens_.data() + (length - T), T * 4);
  const Tensor logits = model_.last_logits(1, T);
  logits_.resize(static_cast<std::size_t>(logits.numel()));
  if (logits.dtype == DType::bf16) {
    std::vector<std::uint16_t> bits(logits_.size());
    backend.download(bits.data(), logits.data, logits.bytes());
    std::transform(bits.begin(), bits.end(), logits_.begin(), bfloat16_value);
  } else {
    backend.download(logits_.data(), logits.data, logits.bytes());
  }
  return logits_;
}

std::int32_t Generator::next(const SamplingOptions& options) {
  const std::int32_t id =
      choose_token(logits(), tokens_, options, sample_, static_cast<std::uint64_t>(tokens_.size()));
  append(id);
  return id;
}

}  // namespace zhgpt
