// Sampling: from logits to the next character, and from a prompt to a text.
//
// The filters are llama.cpp's, in its order and with its names: repetition penalty, top-k, top-p, min-p, temperature.
// A choice depends on (seed, sample, position) and the logits only; ties go to the lower id; <unk> is never chosen.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "zhgpt/gpt.h"
#include "zhgpt/tokenizer.h"

namespace zhgpt {

struct SamplingOptions {
  double temperature = 0.8;     // 0 is greedy
  std::int64_t top_k = 40;      // 0: all
  double top_p = 0.95;          // 1: all
  double min_p = 0.05;          // relative to the most likely; 0: all
  double repeat_penalty = 1.0;  // above 1 makes the last 64 characters less likely
  std::uint64_t seed = 1337;

  void validate() const;  // throws ConfigError naming the option
};

// logits: (V). recent: the tokens so far, oldest first. position: how many tokens came before.
std::int32_t choose_token(std::span<const float> logits, std::span<const std::int32_t> recent,
                          const SamplingOptions& options, std::uint64_t sample, std::uint64_t position);

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
