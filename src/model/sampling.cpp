#include "zhgpt/sampling.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "zhgpt/error.h"
#include "zhgpt/messages.h"
#include "zhgpt/rng.h"
#include "zhgpt/tokenizer.h"

namespace zhgpt {
namespace {

constexpr std::size_t kRepeatLast = 64;

struct Candidate {
  std::int32_t id;
  double logit;
  double probability;
};

// Probabilities of what is left, most likely first.
void normalise(std::vector<Candidate>& candidates, double temperature) {
  double sum = 0;
  const double top = candidates.front().logit;
  for (Candidate& c : candidates) sum += c.probability = std::exp((c.logit - top) / temperature);
  for (Candidate& c : candidates) c.probability /= sum;
}

}  // namespace

void SamplingOptions::validate() const {
  const auto check = [](const char* name, double value, double lowest, double highest) {
    if (!(value >= lowest && value <= highest))
      throw ConfigError(tr(Msg::out_of_range, name, value, lowest, highest));
  };
  check("temperature", temperature, 0, 100);
  check("top_k", static_cast<double>(top_k), 0, 1e9);
  check("top_p", top_p, 0, 1);
  check("min_p", min_p, 0, 1);
  check("repeat_penalty", repeat_penalty, 0.01, 100);
}

std::int32_t choose_token(std::span<const float> logits, std::span<const std::int32_t> recent,
                          const SamplingOptions& options, std::uint64_t sample, std::uint64_t position) {
  std::vector<Candidate> candidates;
  candidates.reserve(logits.size());
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (static_cast<std::int32_t>(id) == kUnknownId) continue;
    candidates.push_back({static_cast<std::int32_t>(id), static_cast<double>(logits[id]), 0});
  }
  if (options.repeat_penalty != 1) {
    std::vector<bool> seen(logits.size(), false);
    for (std::int32_t id : recent.last(std::min(kRepeatLast, recent.size()))) {
      seen[static_cast<std::size_t>(id)] = id != kEndOfTextId;  // ending is never penalised
    }
    // A negative logit is multiplied, so that the penalty always lowers it.
    for (Candidate& c : candidates) {
      if (!seen[static_cast<std::size_t>(c.id)]) continue;
      c.logit = c.logit > 0 ? c.logit / options.repeat_penalty : c.logit * options.repeat_penalty;
    }
  }
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  const bool greedy = options.temperature == 0;
  std::size_t keep = greedy ? 1 : candidates.size();
  if (options.top_k > 0) keep = std::min(keep, static_cast<std::size_t>(options.top_k));
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(keep),
                    candidates.end(), likelier);
  candidates.resize(keep);
  if (greedy) return candidates.front().id;

  normalise(candidates, 1);  // top-p and min-p look at the model's own probabilities
  double mass = 0;
  std::size_t n = 0;
  const double least = options.min_p * candidates.front().probability;
  while (n < candidates.size() && (n == 0 || (mass < options.top_p && candidates[n].probability >= least))) {
    mass += candidates[n++].probability;
  }
  candidates.resize(n);

  normalise(candidates, options.temperature);
  const PhiloxBlock bits = random_block(options.seed, RandomStream::sampling, position,
                                        static_cast<std::uint32_t>(sample), sample >> 24);
  double u = static_cast<double>((std::uint64_t{bits[0]} << 32 | bits[1]) >> 11) * 0x1p-53;
  for (const Candidate& c : candidates) {
    if ((u -= c.probability) < 0) return c.id;
  }
  return candidates.back().id;  // rounding left a sliver
}

}  // namespace zhgpt
