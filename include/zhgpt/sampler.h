// Generator: from a prompt to a text.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "zhgpt/gpt.h"
#include "zhgpt/sampling.h"
#include "zhgpt/tokenizer.h"

namespace zhgpt {

// Continues a text, one token at a time, always from the last block_size tokens.
class Generator {
 public:
  explicit Generator(Gpt& model) : model_(model) {}

  // Starts anew: a document's beginning, then the prompt, as sample `sample` of the seed.
  void start(std::span<const std::int32_t> prompt, std::uint64_t sample);
  // All of the text, first the <|endoftext|> it began with.
  std::span<const std::int32_t> tokens() const { return tokens_; }
  // Logits (V) of what follows; valid until the next call.
  std::span<const float> logits();
  // Goes on with a token that the caller chose.
  void append(std::int32_t id) { tokens_.push_back(id); }
  // Takes back the last `count` tokens. REQUIRES: the <|endoftext|> in front stays.
  void undo(std::int64_t count) { tokens_.resize(tokens_.size() - static_cast<std::size_t>(count)); }
  // The next token, chosen by `options` and appended; kEndOfTextId when the text is finished.
  std::int32_t next(const SamplingOptions& options);

 private:
  Gpt& model_;
  std::vector<std::int32_t> tokens_;
  std::vector<float> logits_;
  std::uint64_t sample_ = 0;
};

}  // namespace zhgpt
