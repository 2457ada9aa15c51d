// Sampling: from logits to the next character.
//
// The filters are llama.cpp's, in its order and with its names: penalties (repetition, then presence and
// frequency), no-repeat n-gram, top-k, typical, top-p, min-p, temperature. A choice depends on (seed, sample,
// position), the logits and the tokens before only; ties go to the lower id. <unk> is never chosen, nor what
// has the logit -inf (a caller's ban) or NaN. Ending a text, <|endoftext|>, is never penalised or banned.
//
// The functions may be called by many threads at once; each thread keeps its memory from call to call.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace zhgpt {

inline constexpr std::int64_t kSampleHistory = 1024;  // of the tokens before, the last so many count

struct SamplingOptions {
  double temperature = 0.8;          // 0 is greedy
  std::int64_t top_k = 40;           // 0: all
  double typical_p = 1;              // of nearly the expected surprise (C. Meister et al., 2022); 1: all
  double top_p = 0.95;               // 1: all
  double min_p = 0.05;               // relative to the most likely; 0: all
  double repeat_penalty = 1;         // above 1: divides logits above 0 and multiplies those below
  std::int64_t repeat_last_n = 64;   // the penalties look at so many tokens; 0: at none, -1: at all
  double presence_penalty = 0;       // off the logit of what came before
  double frequency_penalty = 0;      // and this for each time it came
  std::int64_t no_repeat_ngram = 0;  // no run of so many tokens comes twice; 0: it may
  std::uint64_t seed = 1337;

  void validate() const;  // throws ConfigError naming the option
  bool operator==(const SamplingOptions&) const = default;
};

// logits: (V). recent: the tokens so far, oldest first; what is no id, such as -1, is passed over.
// position: how many tokens came before. Where no-repeat n-gram would leave nothing, it does not apply.
// Throws ConfigError when the logits leave nothing.
std::int32_t choose_token(std::span<const float> logits, std::span<const std::int32_t> recent,
                          const SamplingOptions& options, std::uint64_t sample, std::uint64_t position);

// The same, but kNoToken when the logits leave nothing.
inline constexpr std::int32_t kNoToken = -1;
std::int32_t choose_token_or_none(std::span<const float> logits, std::span<const std::int32_t> recent,
                                  const SamplingOptions& options, std::uint64_t sample,
                                  std::uint64_t position);

struct Candidate {
  std::int32_t id;
  double probability;  // the model's own, of all but <unk>, before any filter
  double chance;       // of being drawn; those of all candidates add up to 1
};

// What choose_token draws from, most likely (after penalties) first; empty when the logits leave nothing.
std::vector<Candidate> candidates(std::span<const float> logits, std::span<const std::int32_t> recent,
                                  const SamplingOptions& options);

}  // namespace zhgpt
