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

  // Starts anew: a document's beginning, followed by the prompt.
  void start(std::span<const std::int32_t> prompt, std::uint64_t sample);
  // The next token; kEndOfTextId when the text is finished.
  std::int32_t next(const SamplingOptions& options);

 private:
  Gpt& model_;
  std::vector<std::int32_t> tokens_;
  std::vector<float> logits_;
  std::uint64_t sample_ = 0;
};

}  // namespace zhgpt
