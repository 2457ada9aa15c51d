// Sampling: from logits to the next character.
//
// The filters are llama.cpp's, in its order and with its names: repetition penalty, top-k, top-p, min-p,
// temperature. A choice depends on (seed, sample, position) and the logits only; ties go to the lower id;
// <unk> is never chosen.
#pragma once

#include <cstdint>
#include <span>

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

}  // namespace zhgpt
