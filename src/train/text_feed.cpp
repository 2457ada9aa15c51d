#include "train/text_feed.h"

#include <cstring>

namespace zhgpt {

TextFeed::TextFeed(Backend& backend, TokenArray& text, const DataOrder& order, std::int64_t samples_per_step)
    : text_(text.tensor()), order_(order), samples_per_step_(samples_per_step) {
  if (text_.bytes() <= backend.free_memory_bytes() / 2) {
    buffer_ = backend.allocate(text_.bytes(), "training text");
    backend.upload(buffer_.data(), text_.data, text_.bytes());
    tokens_ = Tensor(buffer_.data(), text_.dtype, {text_.numel()});
    return;
  }
  tokens_ = Tensor(nullptr, text_.dtype, {Feed::kSlots * samples_per_step, order.block_size + 1});
  buffer_ = backend.allocate(tokens_.bytes(), "training text of the next steps");
  tokens_.data = buffer_.data();
  feed_ = backend.make_feed(buffer_.data(), tokens_.bytes() / Feed::kSlots);
}

void TextFeed::prepare(std::int64_t batch) {
  if (!feed_) return;
  const std::int64_t token_bytes = dtype_bytes(text_.dtype),
                     row_bytes = (order_.block_size + 1) * token_bytes;
  const std::int64_t slot = batch % Feed::kSlots;
  auto* row = static_cast<char*>(feed_->begin(slot));
  const auto* text = static_cast<const char*>(text_.data);
  for (std::int64_t i = 0; i < samples_per_step_; ++i, row += row_bytes) {
    const std::int64_t start = order_.start(batch * samples_per_step_ + i);
    std::memcpy(row, text + start * token_bytes, static_cast<std::size_t>(row_bytes));
  }
  feed_->send(slot);
}

}  // namespace zhgpt
