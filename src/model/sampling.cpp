#include "zhgpt/sampling.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <utility>

#include "zhgpt/error.h"
#include "zhgpt/messages.h"
#include "zhgpt/rng.h"
#include "zhgpt/tokenizer.h"

namespace zhgpt {
namespace {

constexpr float kBanned = -std::numeric_limits<float>::infinity();

// A token and its place: the lower the rank, the earlier.
struct Ranked {
  std::uint32_t rank;
  std::int32_t id;
};

// The memory of a thread's choices.
struct Workspace {
  std::vector<float> logits;                           // (V), after penalties and bans
  std::vector<std::int32_t> history;                   // the tokens before that count, oldest first
  std::vector<std::int32_t> counts;                    // (V), all 0 between choices
  std::vector<std::pair<std::int32_t, float>> lifted;  // what no-repeat n-gram banned, and the logit it had
  std::vector<float> largest;
  std::vector<Ranked> ranked, spare;  // (V)
  std::vector<double> chances;
};
Workspace& workspace() {
  thread_local Workspace w;
  return w;
}

// Lower for a larger logit, equal for equal ones.
std::uint32_t rank_of(float logit) {
  const auto bits = std::bit_cast<std::uint32_t>(logit + 0.f);  // -0 becomes 0
  return bits >> 31 ? bits : ~(bits | 0x80000000u);
}

float logit_of_rank(std::uint32_t rank) {
  return std::bit_cast<float>(rank >> 31 ? rank : ~rank & 0x7fffffffu);
}

// exp((logit - top) * sharpness); 1 for the top itself, infinite or not.
double weight(float logit, float top, double sharpness = 1) {
  const double below = (static_cast<double>(logit) - static_cast<double>(top)) * sharpness;
  return below < 0 ? std::exp(below) : 1;
}

void take_history(Workspace& w, std::span<const std::int32_t> recent, std::size_t V) {
  w.history.clear();
  for (std::size_t i = recent.size(); i-- > 0 && w.history.size() < kSampleHistory;) {
    if (recent[i] >= 0 && static_cast<std::size_t>(recent[i]) < V) w.history.push_back(recent[i]);
  }
  std::reverse(w.history.begin(), w.history.end());
}

void penalise(Workspace& w, const SamplingOptions& o) {
  if (o.repeat_penalty == 1 && o.presence_penalty == 0 && o.frequency_penalty == 0) return;
  const std::span<const std::int32_t> history = w.history;
  const auto n = o.repeat_last_n < 0 ? history.size() : static_cast<std::size_t>(o.repeat_last_n);
  const auto window = history.last(std::min(n, history.size()));
  w.counts.resize(w.logits.size());
  for (std::int32_t id : window) ++w.counts[static_cast<std::size_t>(id)];
  for (std::int32_t id : window) {
    const std::int32_t count = std::exchange(w.counts[static_cast<std::size_t>(id)], 0);
    if (count == 0 || id == kEndOfTextId) continue;
    float& logit = w.logits[static_cast<std::size_t>(id)];
    // A negative logit is multiplied, so that the penalty always lowers it.
    const double l = static_cast<double>(logit);
    const double repeated = l > 0 ? l / o.repeat_penalty : l * o.repeat_penalty;
    logit = static_cast<float>(repeated - (o.presence_penalty + count * o.frequency_penalty));
  }
}

// Bans what would make the last n tokens, itself included, a run that was there before.
void ban_repeated_ngrams(Workspace& w, std::int64_t no_repeat_ngram) {
  w.lifted.clear();
  const auto n = static_cast<std::size_t>(no_repeat_ngram);
  if (n == 0 || w.history.size() < n) return;
  const auto last = w.history.end() - static_cast<std::ptrdiff_t>(n - 1);
  for (auto run = w.history.begin(); run != last; ++run) {
    const std::int32_t next = run[static_cast<std::ptrdiff_t>(n - 1)];
    if (next == kEndOfTextId || !std::equal(last, w.history.end(), run)) continue;
    w.lifted.emplace_back(next, std::exchange(w.logits[static_cast<std::size_t>(next)], kBanned));
  }
}

// Calls f with every id, in order, whose logit is at least `floor`, and with few others: sixteen at a time
// are compared as vectors.
template <class F>
void visit_from(const std::vector<float>& logits, float floor, F f) {
  using Lanes [[gnu::vector_size(32)]] = float;
  constexpr std::size_t kBlock = 16;
  for (std::size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const std::size_t end = std::min(begin + kBlock, logits.size());
    if (end - begin == kBlock) {
      Lanes half[2];
      std::memcpy(half, logits.data() + begin, sizeof half);
      const auto above = (half[0] >= floor) | (half[1] >= floor);
      std::uint64_t any[4];
      std::memcpy(any, &above, sizeof any);
      if (!(any[0] | any[1] | any[2] | any[3])) continue;
    }
    for (std::size_t id = begin; id < end; ++id) f(id);
  }
}

// The k-th largest of the values, which are put into another order. REQUIRES: 0 < k <= how many there are.
float kth_largest(std::span<float> values, std::size_t k) {
  const auto kth = values.begin() + static_cast<std::ptrdiff_t>(k - 1);
  std::nth_element(values.begin(), kth, values.end(), std::greater<>());
  return *kth;
}

// A logit that at least k of the values reach, near the k-th largest: its upper half, bit by bit from above.
// Counting has no branches to be guessed wrong. REQUIRES: 0 < k <= how many there are; no NaN.
float near_kth_largest(std::span<const float, 256> values, std::size_t k) {
  std::array<std::uint32_t, 256> ranks;
  for (std::size_t i = 0; i < ranks.size(); ++i) ranks[i] = rank_of(values[i]);
  std::uint32_t last = ~0u;  // k values have ranks up to here
  for (std::uint32_t bit = 1u << 31; bit >= 1u << 16; bit >>= 1) {
    std::uint32_t count = 0;
    for (const std::uint32_t rank : ranks) count += rank <= last - bit;
    if (count >= k) last -= bit;
  }
  return logit_of_rank(std::min(last, rank_of(kBanned)));
}

// The least logit of the k likeliest, and how many of them have just that one. REQUIRES: k > 0.
struct Floor {
  float logit = kBanned;  // which nothing has that can be chosen
  std::size_t ties = 0;
};
Floor floor_of_top(Workspace& w, std::size_t k) {
  // The k-th largest of some logits, the maxima of every 256th, is not above that of all, but near it.
  std::array<float, 256> maxima;
  maxima.fill(kBanned);
  for (std::size_t begin = 0; begin < w.logits.size(); begin += maxima.size()) {
    const std::size_t count = std::min(maxima.size(), w.logits.size() - begin);
    for (std::size_t i = 0; i < count; ++i) {
      maxima[i] = w.logits[begin + i] > maxima[i] ? w.logits[begin + i] : maxima[i];
    }
  }
  const float bound = k <= maxima.size() ? near_kth_largest(maxima, k) : kBanned;
  w.largest.resize(w.logits.size());
  std::size_t count = 0;
  visit_from(w.logits, bound, [&](std::size_t id) {
    w.largest[count] = w.logits[id];
    count += w.logits[id] >= bound && w.logits[id] > kBanned;
  });
  if (count < k) return {};  // all there are
  const std::span<float> largest = std::span(w.largest).first(count);
  Floor floor{kth_largest(largest, k), 0};
  for (std::size_t i = 0; i < k; ++i) floor.ties += largest[i] == floor.logit;
  return floor;
}

// What is above the floor, and of those that have just its logit as many as it says, by id.
std::span<Ranked> collect(Workspace& w, Floor floor) {
  std::size_t count = 0;
  visit_from(w.logits, floor.logit, [&](std::size_t id) {
    const float logit = w.logits[id];
    const bool tie = logit == floor.logit && floor.ties > 0;
    w.ranked[count] = {rank_of(logit), static_cast<std::int32_t>(id)};
    count += tie || logit > floor.logit;
    floor.ties -= tie;
  });
  return std::span(w.ranked).first(count);
}

// By rank; those of equal rank stay in order. A radix sort of four digits: in a vocabulary's size an order of
// magnitude faster than comparing.
void sort(std::span<Ranked> list, std::span<Ranked> spare) {
  constexpr int kDigits = 4;
  std::array<std::array<std::uint32_t, 256>, kDigits> places{};
  for (const Ranked& r : list) {
    for (int d = 0; d < kDigits; ++d) ++places[static_cast<std::size_t>(d)][r.rank >> (8 * d) & 255];
  }
  Ranked *from = list.data(), *to = spare.data();
  for (int d = 0; d < kDigits; ++d) {  // an even number of moves: the last is back into the list
    auto& place = places[static_cast<std::size_t>(d)];
    std::uint32_t before = 0;
    for (std::uint32_t& p : place) before += std::exchange(p, before);
    for (std::size_t i = 0; i < list.size(); ++i) to[place[from[i].rank >> (8 * d) & 255]++] = from[i];
    std::swap(from, to);
  }
}

float logit_of(const Workspace& w, const Ranked& r) {
  return w.logits[static_cast<std::size_t>(r.id)];
}

// The fewest that reach the probability, those first whose surprise is nearest to the mean, the entropy. Both
// are logits but for the same constant, so that nearness to the mean logit is asked. `list` is by id.
std::span<Ranked> most_typical(Workspace& w, std::span<Ranked> list, double typical_p) {
  const auto by_rank = [](const Ranked& a, const Ranked& b) { return a.rank < b.rank; };
  const float top = logit_of(w, *std::min_element(list.begin(), list.end(), by_rank));
  const auto below = [&](const Ranked& r) {
    const double difference = static_cast<double>(logit_of(w, r)) - static_cast<double>(top);
    return difference < 0 ? -difference : 0;
  };
  double total = 0, mean = 0;
  for (const Ranked& r : list) {
    const double p = weight(logit_of(w, r), top);
    total += p;
    if (p > 0) mean += p * below(r);
  }
  mean /= total;
  for (Ranked& r : list) r.rank = std::bit_cast<std::uint32_t>(static_cast<float>(std::abs(below(r) - mean)));
  sort(list, w.spare);
  double mass = 0;
  std::size_t n = 0;
  while (n < list.size() && (n == 0 || mass < typical_p * total)) mass += weight(logit_of(w, list[n++]), top);
  list = list.first(n);
  for (Ranked& r : list) r.rank = rank_of(logit_of(w, r));
  return list;
}

bool any_left(const std::vector<float>& logits) {
  return std::any_of(logits.begin(), logits.end(), [](float logit) { return logit > kBanned; });
}

// What can be drawn, most likely first, with w.chances; empty when the logits leave nothing.
std::span<const Ranked> remaining(Workspace& w, std::span<const float> logits,
                                  std::span<const std::int32_t> recent, const SamplingOptions& o) {
  const std::size_t V = logits.size();
  w.logits.assign(logits.begin(), logits.end());
  if (V > kUnknownId) w.logits[kUnknownId] = kBanned;
  w.ranked.resize(V);
  w.spare.resize(V);
  w.chances.resize(V);
  take_history(w, recent, V);
  penalise(w, o);
  ban_repeated_ngrams(w, o.no_repeat_ngram);

  if (!any_left(w.logits)) {  // a text must go on
    for (; !w.lifted.empty(); w.lifted.pop_back()) {
      w.logits[static_cast<std::size_t>(w.lifted.back().first)] = w.lifted.back().second;
    }
  }

  // Greedy is top-k of one.
  const std::size_t k = o.temperature == 0 ? 1 : static_cast<std::size_t>(o.top_k);
  Floor floor;
  const bool early_min_p = k == 0 && o.typical_p == 1 && o.min_p > 0;  // leaves less to be sorted
  if (k > 0) {
    floor = floor_of_top(w, k);
  } else if (early_min_p) {
    floor.logit = std::min(floor_of_top(w, 1).logit + static_cast<float>(std::log(o.min_p)) - 0.01f,
                           std::numeric_limits<float>::max());
  }
  std::span<Ranked> list = collect(w, floor);
  if (list.empty()) return {};
  if (o.typical_p < 1) list = most_typical(w, list, o.typical_p);
  sort(list, w.spare);

  const float first = logit_of(w, list.front());
  const auto weigh = [&](double sharpness) {
    double sum = 0;
    for (std::size_t i = 0; i < list.size(); ++i) {
      sum += w.chances[i] = weight(logit_of(w, list[i]), first, sharpness);
    }
    return sum;
  };
  if (o.top_p < 1 || o.min_p > 0) {  // they look at what temperature has not changed yet
    double total = weigh(1);
    if (early_min_p && o.top_p < 1) {
      for (float logit : w.logits) total += logit <= floor.logit ? weight(logit, first) : 0;  // no NaN
    }
    const double most = o.top_p < 1 ? o.top_p * total : std::numeric_limits<double>::infinity();
    double mass = 0;
    std::size_t n = 0;
    while (n < list.size() && (n == 0 || (mass < most && w.chances[n] >= o.min_p))) mass += w.chances[n++];
    list = list.first(n);
  }
  const double sum = weigh(1 / o.temperature);
  for (std::size_t i = 0; i < list.size(); ++i) w.chances[i] /= sum;
  return list;
}

}  // namespace

void SamplingOptions::validate() const {
  const auto check = [](const char* name, double value, double lowest, double highest) {
    if (!(value >= lowest && value <= highest))
      throw ConfigError(tr(Msg::out_of_range, name, value, lowest, highest));
  };
  check("temperature", temperature, 0, 100);
  check("top_k", static_cast<double>(top_k), 0, 1e9);
  check("typical_p", typical_p, 0, 1);
  check("top_p", top_p, 0, 1);
  check("min_p", min_p, 0, 1);
  check("repeat_penalty", repeat_penalty, 0.01, 100);
  check("repeat_last_n", static_cast<double>(repeat_last_n), -1, kSampleHistory);
  check("presence_penalty", presence_penalty, -100, 100);
  check("frequency_penalty", frequency_penalty, -100, 100);
  check("no_repeat_ngram", static_cast<double>(no_repeat_ngram), 0, kSampleHistory);
}

std::int32_t choose_token_or_none(std::span<const float> logits, std::span<const std::int32_t> recent,
                                  const SamplingOptions& options, std::uint64_t sample,
                                  std::uint64_t position) {
  Workspace& w = workspace();
  const std::span<const Ranked> list = remaining(w, logits, recent, options);
  if (list.empty()) return kNoToken;
  const PhiloxBlock bits = random_block(options.seed, RandomStream::sampling, position,
                                        static_cast<std::uint32_t>(sample), sample >> 24);
  double u = static_cast<double>((std::uint64_t{bits[0]} << 32 | bits[1]) >> 11) * 0x1p-53;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if ((u -= w.chances[i]) < 0) return list[i].id;
  }
  return list.back().id;  // rounding left a sliver
}

std::int32_t choose_token(std::span<const float> logits, std::span<const std::int32_t> recent,
                          const SamplingOptions& options, std::uint64_t sample, std::uint64_t position) {
  const std::int32_t id = choose_token_or_none(logits, recent, options, sample, position);
  if (id == kNoToken) throw ConfigError(tr(Msg::nothing_to_choose));
  return id;
}

std::vector<Candidate> candidates(std::span<const float> logits, std::span<const std::int32_t> recent,
                                  const SamplingOptions& options) {
  Workspace& w = workspace();
  const std::span<const Ranked> list = remaining(w, logits, recent, options);
  if (list.empty()) return {};
  w.logits.assign(logits.begin(), logits.end());
  w.logits[kUnknownId] = kBanned;
  const float top = floor_of_top(w, 1).logit;
  double total = 0;
  for (float logit : w.logits) total += logit > kBanned ? weight(logit, top) : 0;
  std::vector<Candidate> out;
  for (std::size_t i = 0; i < list.size(); ++i) {
    out.push_back({list[i].id, weight(logit_of(w, list[i]), top) / total, w.chances[i]});
  }
  return out;
}

}  // namespace zhgpt
