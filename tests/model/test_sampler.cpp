// What the filters keep, how often each token is chosen, and that a choice is a function of its place.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <tuple>

#include "zhgpt/error.h"
#include "zhgpt/rng.h"
#include "zhgpt/sampling.h"
#include "zhgpt/tokenizer.h"

namespace zhgpt {
namespace {

constexpr int kDraws = 20000;

SamplingOptions everything() {
  return {.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0};
}

// Logits of these probabilities for ids 1, 2, …; <unk> would be likelier than all.
std::vector<float> logits_of(std::initializer_list<double> probabilities) {
  std::vector<float> logits{100};
  for (double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

std::map<std::int32_t, double> frequencies(const std::vector<float>& logits, const SamplingOptions& options,
                                           const std::vector<std::int32_t>& recent = {}) {
  std::map<std::int32_t, double> out;
  for (std::uint64_t i = 0; i < kDraws; ++i) out[choose_token(logits, recent, options, 0, i)] += 1;
  for (auto& [id, count] : out) count /= kDraws;
  return out;
}

// Five deviations of a frequency over so many draws.
void expect_frequencies(const std::map<std::int32_t, double>& got,
                        const std::map<std::int32_t, double>& expected) {
  for (const auto& [id, p] : expected) {
    EXPECT_NEAR(got.contains(id) ? got.at(id) : 0, p, 5 * std::sqrt(p * (1 - p) / kDraws)) << id;
  }
  EXPECT_EQ(got.size(), expected.size());  // and nothing else
}

const std::vector<float> kLogits =
    logits_of({0.1, 0.4, 0.05, 0.3, 0.15});  // 2, 4, 5, 1, 3 by falling probability

TEST(ChooseToken, WithoutFiltersByProbabilityAndNeverUnknown) {
  expect_frequencies(frequencies(kLogits, everything()),
                     {{1, 0.1}, {2, 0.4}, {3, 0.05}, {4, 0.3}, {5, 0.15}});
}

TEST(ChooseToken, GreedyTakesTheLikeliestAndOfEqualsTheLowest) {
  SamplingOptions greedy = everything();
  greedy.temperature = 0;
  EXPECT_EQ(choose_token(kLogits, {}, greedy, 0, 0), 2);
  EXPECT_EQ(choose_token(std::vector<float>{9, 1, 3, 3, 3}, {}, greedy, 0, 0), 2);
  const std::vector<Candidate> zeros = candidates(std::vector<float>{9, 1, -0.f, 0, -0.f}, {}, everything());
  ASSERT_EQ(zeros.size(), 4u);
  EXPECT_EQ(std::tuple(zeros[1].id, zeros[2].id, zeros[3].id), std::tuple(2, 3, 4));
}

TEST(ChooseToken, TopK) {
  SamplingOptions options = everything();
  options.top_k = 2;
  expect_frequencies(frequencies(kLogits, options), {{2, 4.0 / 7}, {4, 3.0 / 7}});
  options.top_k = 1;
  expect_frequencies(frequencies(kLogits, options), {{2, 1}});
  options.top_k = 1000;
  EXPECT_EQ(frequencies(kLogits, options).size(), 5u);
  options.top_k = 2;  // of three equals, the two lowest
  expect_frequencies(frequencies(logits_of({0.2, 0.2, 0.2}), options), {{1, 0.5}, {2, 0.5}});
}

// Likely tokens that share a place in every 256, where the k-th largest is looked for first: fewer places
// than k, more tokens.
TEST(ChooseToken, TopKOfTokensAtEqualPlaces) {
  std::vector<float> logits(2000, -std::numeric_limits<float>::infinity());
  for (std::size_t id = 5; id < logits.size(); id += 256) logits[id] = static_cast<float>(id) / 100;
  for (const std::int64_t k : {1, 2, 5, 8, 9}) {
    SamplingOptions options = everything();
    options.top_k = k;
    EXPECT_EQ(std::ssize(candidates(logits, {}, options)), std::min<std::int64_t>(k, 8)) << k;
  }
}

TEST(ChooseToken, TopPKeepsTheFewestThatReachIt) {
  SamplingOptions options = everything();
  options.top_p = 0.6;
  expect_frequencies(frequencies(kLogits, options), {{2, 4.0 / 7}, {4, 3.0 / 7}});
  options.top_p = 0.75;
  expect_frequencies(frequencies(kLogits, options), {{2, 0.4 / 0.85}, {4, 0.3 / 0.85}, {5, 0.15 / 0.85}});
  options.top_p = 0;
  expect_frequencies(frequencies(kLogits, options), {{2, 1}});
}

TEST(ChooseToken, MinPIsRelativeToTheLikeliest) {
  SamplingOptions options = everything();
  options.min_p = 0.5;  // 0.2 and more
  expect_frequencies(frequencies(kLogits, options), {{2, 4.0 / 7}, {4, 3.0 / 7}});
  options.min_p = 0.3;  // 0.12 and more
  EXPECT_EQ(frequencies(kLogits, options).size(), 3u);
  options.min_p = 1;
  expect_frequencies(frequencies(kLogits, options), {{2, 1}});
}

TEST(ChooseToken, TemperatureComesAfterTheFilters) {
  SamplingOptions options = everything();
  options.temperature = 0.5;  // squares the probabilities
  const double sum = 0.16 + 0.09;
  options.top_p = 0.6;
  expect_frequencies(frequencies(kLogits, options), {{2, 0.16 / sum}, {4, 0.09 / sum}});
}

TEST(ChooseToken, TheRepeatPenaltyLowersLogitsOfEitherSign) {
  SamplingOptions options = everything();
  options.repeat_penalty = 2;
  const std::vector<float> logits{0, -50, 1, 1, -1, -1};
  // 2 and 4 were said: 1 -> 0.5 and -1 -> -2.
  const double z = std::exp(0.5) + std::exp(1) + std::exp(-2) + std::exp(-1);
  expect_frequencies(
      frequencies(logits, options, {2, 4, 2}),
      {{2, std::exp(0.5) / z}, {3, std::exp(1) / z}, {4, std::exp(-2) / z}, {5, std::exp(-1) / z}});
}

TEST(ChooseToken, ThePenaltySeesTheLast64AndNeverTheEnd) {
  SamplingOptions greedy = everything();
  greedy.temperature = 0;
  greedy.repeat_penalty = 10;
  const std::vector<float> logits{0, 0, 3, 2};
  std::vector<std::int32_t> recent(64, 1);
  recent[0] = 2;
  EXPECT_EQ(choose_token(logits, recent, greedy, 0, 0), 3);
  recent.push_back(1);  // now 65 back
  EXPECT_EQ(choose_token(logits, recent, greedy, 0, 0), 2);
  EXPECT_EQ(choose_token(std::vector<float>{0, 3, 2}, recent, greedy, 0, 0), 1);
}

TEST(ChooseToken, PresenceCountsOnceAndFrequencyEachTime) {
  SamplingOptions options = everything();
  options.presence_penalty = 0.5;
  options.frequency_penalty = 0.25;
  const std::vector<float> logits{0, -50, 1, 1, -1, -1};
  const auto expect = [&](double second, double fourth) {
    const double z = std::exp(second) + std::exp(1) + std::exp(fourth) + std::exp(-1);
    expect_frequencies(
        frequencies(logits, options, {2, 4, 2}),
        {{2, std::exp(second) / z}, {3, std::exp(1) / z}, {4, std::exp(fourth) / z}, {5, std::exp(-1) / z}});
  };
  expect(1 - 1, -1 - 0.75);
  options.repeat_penalty = 2;  // comes first: the other way round 2 would have 0 and 4 -3.5
  expect(0.5 - 1, -2 - 0.75);
}

TEST(ChooseToken, RepeatLastNSaysHowFarThePenaltiesLook) {
  SamplingOptions greedy = everything();
  greedy.temperature = 0;
  greedy.presence_penalty = 10;
  const std::vector<float> logits{0, 0, 3, 2, 1};
  const auto choice = [&](std::int64_t last_n, const std::vector<std::int32_t>& recent) {
    greedy.repeat_last_n = last_n;
    return choose_token(logits, recent, greedy, 0, 0);
  };
  EXPECT_EQ(choice(0, {2, 3}), 2);
  EXPECT_EQ(choice(1, {2, 3}), 2);
  EXPECT_EQ(choice(2, {2, 3}), 4);
  EXPECT_EQ(choice(2, {2, 3, -1, 5, -1}), 4);  // what is no id is passed over
  std::vector<std::int32_t> recent(kSampleHistory, 3);
  recent[0] = 2;
  EXPECT_EQ(choice(-1, recent), 4);
  recent.push_back(3);
  EXPECT_EQ(choice(-1, recent), 2);
}

TEST(ChooseToken, NoRunOfNTokensComesTwice) {
  SamplingOptions options = everything();
  const auto left = [&](std::int64_t n, const std::vector<std::int32_t>& recent) {
    options.no_repeat_ngram = n;
    std::set<std::int32_t> ids;
    for (const Candidate& c : candidates(kLogits, recent, options)) ids.insert(c.id);
    return ids;
  };
  using Ids = std::set<std::int32_t>;
  EXPECT_EQ(left(0, {2, 3, 2}), (Ids{1, 2, 3, 4, 5}));
  EXPECT_EQ(left(1, {2, 3, 2}), (Ids{1, 4, 5}));
  EXPECT_EQ(left(2, {2, 3, 2}), (Ids{1, 2, 4, 5}));
  EXPECT_EQ(left(2, {2, 2}), (Ids{1, 3, 4, 5}));  // runs may overlap
  EXPECT_EQ(left(2, {2}), (Ids{1, 2, 3, 4, 5}));
  EXPECT_EQ(left(3, {2, 3, 4, 5, 2, 3}), (Ids{1, 2, 3, 5}));
  EXPECT_EQ(left(3, {2, 3, 4, 3, 3}), (Ids{1, 2, 3, 4, 5}));  // 3 4 came before 3, not 3 3
  EXPECT_EQ(left(3, {2, 3, 4, 2, 3, 5, 2, 3}), (Ids{1, 2, 3}));
  EXPECT_EQ(left(1, {1, 2, 1}), (Ids{1, 3, 4, 5}));  // ending is never banned
  std::vector<std::int32_t> recent(kSampleHistory, 5);
  recent[0] = 2;
  EXPECT_EQ(left(1, recent), (Ids{1, 3, 4}));
  recent.push_back(5);  // 2 is too long ago
  EXPECT_EQ(left(1, recent), (Ids{1, 2, 3, 4}));
}

TEST(ChooseToken, TheBanOfRunsIsLiftedWhereNothingElseIsLeft) {
  SamplingOptions options = everything();
  options.no_repeat_ngram = 1;
  const float banned = -INFINITY;
  std::vector<float> logits = logits_of({1, 0.25, 0.75, 1});
  logits[1] = logits[4] = banned;  // by the caller
  expect_frequencies(frequencies(logits, options, {3, 2, 3}), {{2, 0.25}, {3, 0.75}});
  expect_frequencies(frequencies(logits, options, {3}), {{2, 1}});
}

TEST(ChooseToken, WhatHasMinusInfinityOrNoNumberIsNeverChosen) {
  SamplingOptions options = everything();
  std::vector<float> logits = logits_of({0.5, 0.5, 0.25, 0.75});
  logits[1] = -INFINITY;
  logits[2] = NAN;
  expect_frequencies(frequencies(logits, options), {{3, 0.25}, {4, 0.75}});
  options.top_k = 3;
  expect_frequencies(frequencies(logits, options), {{3, 0.25}, {4, 0.75}});
  options = everything();
  options.min_p = 0.1;
  options.top_p = 0.7;  // of what can be chosen: neither has a part in it
  expect_frequencies(frequencies(logits, options), {{4, 1}});
  options = everything();
  logits[3] = logits[4] = -INFINITY;
  for (const double temperature : {0., 1.}) {
    options.temperature = temperature;
    EXPECT_THROW(choose_token(logits, {}, options, 0, 0), ConfigError);
    EXPECT_EQ(choose_token_or_none(logits, {}, options, 0, 0), kNoToken);
    EXPECT_TRUE(candidates(logits, {}, options).empty());
  }
}

// Surprises -ln p: 2.303, 0.916, 2.996, 1.204, 1.897; their mean, the entropy: 1.392. Distances: 0.910,
// 0.476, 1.603, 0.188, 0.505.
TEST(ChooseToken, TypicalKeepsTheFewestOfTheExpectedSurpriseThatReachIt) {
  SamplingOptions options = everything();
  options.typical_p = 0.2;  // without the likeliest
  expect_frequencies(frequencies(kLogits, options), {{4, 1}});
  options.typical_p = 0.5;
  expect_frequencies(frequencies(kLogits, options), {{2, 4.0 / 7}, {4, 3.0 / 7}});
  options.typical_p = 0.75;
  expect_frequencies(frequencies(kLogits, options), {{2, 0.4 / 0.85}, {4, 0.3 / 0.85}, {5, 0.15 / 0.85}});
  options.typical_p = 0;
  expect_frequencies(frequencies(kLogits, options), {{4, 1}});
  options.min_p = 0.9;  // relative to the likeliest that is left
  expect_frequencies(frequencies(kLogits, options), {{4, 1}});
  options.min_p = 0;
  options.typical_p = 0.5;  // of equals the lowest
  expect_frequencies(frequencies(logits_of({0.25, 0.25, 0.25, 0.25}), options), {{1, 0.5}, {2, 0.5}});
}

// Each case would leave other tokens if the two filters changed places.
TEST(ChooseToken, TheFiltersComeInLlamaCppsOrder) {
  const auto left = [](SamplingOptions options, const std::vector<std::int32_t>& recent = {}) {
    std::set<std::int32_t> ids;
    for (const Candidate& c : candidates(kLogits, recent, options)) ids.insert(c.id);
    return ids;
  };
  using Ids = std::set<std::int32_t>;
  SamplingOptions options = everything();
  options.top_k = 1;
  options.presence_penalty = 1;
  EXPECT_EQ(left(options, {2}), Ids{4}) << "penalties before top-k";
  options.presence_penalty = 0;
  options.no_repeat_ngram = 1;
  EXPECT_EQ(left(options, {2}), Ids{4}) << "n-grams before top-k";

  options = everything();
  options.top_k = 2;
  options.typical_p = 0.5;  // of 4/7 and 3/7 the former is nearer; of all, 4 and 2 are typical
  EXPECT_EQ(left(options), Ids{2}) << "top-k before typical";

  options = everything();
  options.typical_p = 0.2;
  options.top_p = 0.6;  // would leave 2 and 4, of which 2 is typical
  EXPECT_EQ(left(options), Ids{4}) << "typical before top-p";

  options = everything();
  options.top_k = 2;
  options.top_p = 0.5;
  EXPECT_EQ(left(options), Ids{2}) << "top-p of what top-k left";

  options = everything();
  options.temperature = 100;  // would make all alike
  options.min_p = 0.5;
  EXPECT_EQ(left(options), (Ids{2, 4})) << "min-p before temperature";
}

TEST(Candidates, TheModelsOwnProbabilitiesAndTheChances) {
  SamplingOptions options = everything();
  options.temperature = 0.5;
  options.top_k = 2;
  options.presence_penalty = std::log(4);
  const std::vector<Candidate> got = candidates(kLogits, std::vector<std::int32_t>{2}, options);
  ASSERT_EQ(got.size(), 2u);  // 2 fell to 0.1, as unlikely as 1, which is lower, and less likely than 5
  EXPECT_EQ(got[0].id, 4);
  EXPECT_EQ(got[1].id, 5);
  EXPECT_NEAR(got[0].probability, 0.3, 1e-7);  // the logits are floats
  EXPECT_NEAR(got[1].probability, 0.15, 1e-7);
  EXPECT_NEAR(got[0].chance, 0.8, 1e-6);
  EXPECT_NEAR(got[1].chance, 0.2, 1e-6);

  options.temperature = 0;
  const std::vector<Candidate> one = candidates(kLogits, {}, options);
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].id, 2);
  EXPECT_EQ(one[0].chance, 1);
}

// The filters once more, as plainly as they can be said: sorting everything, deleting from a list.
std::vector<Candidate> plain_candidates(const std::vector<float>& logits,
                                        const std::vector<std::int32_t>& recent, const SamplingOptions& o) {
  struct Item {
    std::int32_t id;
    double logit, p;
  };
  std::vector<Item> list;
  for (std::size_t id = 1; id < logits.size(); ++id) {
    if (logits[id] > -INFINITY) list.push_back({static_cast<std::int32_t>(id), logits[id], 0});
  }
  const std::size_t n = std::min(recent.size(), static_cast<std::size_t>(o.repeat_last_n));
  for (Item& item : list) {
    const auto times = std::count(recent.end() - static_cast<std::ptrdiff_t>(n), recent.end(), item.id);
    if (times == 0 || item.id == kEndOfTextId) continue;
    item.logit = item.logit > 0 ? item.logit / o.repeat_penalty : item.logit * o.repeat_penalty;
    item.logit = static_cast<float>(item.logit - (o.presence_penalty + times * o.frequency_penalty));
  }
  std::erase_if(list, [&](const Item& item) {
    if (o.no_repeat_ngram == 0 || item.id == kEndOfTextId) return false;
    std::vector<std::int32_t> text = recent;
    text.push_back(item.id);
    const auto run = text.end() - std::min<std::ptrdiff_t>(o.no_repeat_ngram, std::ssize(text));
    return std::search(text.begin(), text.end() - 1, run, text.end()) != text.end() - 1;
  });
  const auto likelier = [](const Item& a, const Item& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  const auto normalise = [&](double temperature) {
    double sum = 0;
    for (Item& item : list) sum += item.p = std::exp((item.logit - list.front().logit) / temperature);
    for (Item& item : list) item.p /= sum;
  };
  // Keeps the first whose probabilities reach the target.
  const auto keep_mass = [&](double target) {
    double mass = 0;
    std::size_t keep = 0;
    while (keep < list.size() && (keep == 0 || mass < target)) mass += list[keep++].p;
    list.resize(keep);
  };
  std::sort(list.begin(), list.end(), likelier);
  if (o.top_k > 0 && o.top_k < std::ssize(list)) list.resize(static_cast<std::size_t>(o.top_k));
  if (o.typical_p < 1) {
    normalise(1);
    double entropy = 0;
    for (const Item& item : list) entropy -= item.p * std::log(item.p);
    const auto distance = [&](const Item& item) { return std::abs(-std::log(item.p) - entropy); };
    std::sort(list.begin(), list.end(), [&](const Item& a, const Item& b) {
      return std::abs(distance(a) - distance(b)) > 1e-9 ? distance(a) < distance(b) : a.id < b.id;
    });
    keep_mass(o.typical_p);
    std::sort(list.begin(), list.end(), likelier);
  }
  normalise(1);
  if (o.top_p < 1) keep_mass(o.top_p);
  const double least = o.min_p * list.front().p;
  std::erase_if(list, [&](const Item& item) { return item.p < least; });
  normalise(o.temperature);
  std::vector<Candidate> out;
  for (const Item& item : list) out.push_back({item.id, 0, item.p});
  return out;
}

TEST(Candidates, AreThoseOfThePlainFilters) {
  std::uint64_t draw = 0;
  const auto random = [&](std::uint64_t below) {
    const PhiloxBlock bits = random_block(7, RandomStream::init, draw++, 0, 0);
    return uniform_below(bits[0], bits[1], below);
  };
  const auto one_of = [&](std::initializer_list<double> values) {
    return values.begin()[random(values.size())];
  };
  for (int trial = 0; trial < 400; ++trial) {
    const std::uint64_t V = 5 + random(trial % 4 == 0 ? 3000 : 60);
    const std::uint64_t steps = trial % 2 ? 40 : 1 << 20;  // few: many equals
    std::vector<float> logits(V);
    for (float& logit : logits)
      logit = static_cast<float>(random(steps)) * 12 / static_cast<float>(steps) - 5;
    for (std::uint64_t i = 0; i < V / 5; ++i) logits[2 + random(V - 2)] = -INFINITY;
    logits[1] = -1;  // something is left
    std::vector<std::int32_t> recent(random(90));
    for (std::int32_t& id : recent) id = static_cast<std::int32_t>(1 + random(V - 1));
    const SamplingOptions options{.temperature = one_of({0.6, 1, 1.7}),
                                  .top_k = static_cast<std::int64_t>(one_of({0, 1, 7, 40, 300, 2000})),
                                  .typical_p = one_of({1, 1, 0.9, 0.3}),
                                  .top_p = one_of({1, 0.95, 0.5, 0}),
                                  .min_p = one_of({0, 0.05, 0.4}),
                                  .repeat_penalty = one_of({1, 1.3, 0.8}),
                                  .repeat_last_n = static_cast<std::int64_t>(random(70)),
                                  .presence_penalty = one_of({0, 0.7, -0.4}),
                                  .frequency_penalty = one_of({0, 0.3}),
                                  .no_repeat_ngram = static_cast<std::int64_t>(random(4))};
    const std::vector<Candidate> got = candidates(logits, recent, options);
    const std::vector<Candidate> want = plain_candidates(logits, recent, options);
    ASSERT_EQ(got.size(), want.size()) << trial;
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(got[i].id, want[i].id) << trial << " " << i;
      ASSERT_NEAR(got[i].chance, want[i].chance, 1e-6)
          << trial << " " << i;  // of float logits, squared at most
    }
  }
}

// Recorded before penalties other than repetition were there: with those off, a text stays what it was.
TEST(ChooseToken, ChoicesStayWhatTheyWere) {
  const std::vector<std::pair<SamplingOptions, std::vector<std::int32_t>>> texts{
      {{}, {165, 165, 144, 29, 194, 42, 160, 118, 71, 110, 249, 55}},
      {{.temperature = 1.3, .top_k = 0, .top_p = 0.9, .min_p = 0},
       {186, 241, 288, 113, 265, 173, 163, 3, 273, 220, 53, 110}},
      {{.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0, .seed = 5},
       {113, 76, 74, 134, 110, 257, 113, 215, 102, 262, 257, 234}},
      {{.temperature = 0.7, .top_k = 30, .top_p = 0.8, .min_p = 0.02, .repeat_penalty = 1.5},
       {110, 21, 144, 152, 262, 131, 228, 296, 50, 199, 139, 55}},
      {{.temperature = 2, .top_k = 0, .top_p = 1, .min_p = 0.1},
       {8, 296, 55, 278, 142, 50, 129, 24, 40, 275, 252, 254}},
      {{.temperature = 0, .repeat_penalty = 1.5}, {144, 288, 55, 199, 110, 254, 21, 165, 76, 220, 131, 275}}};
  for (const auto& [options, expected] : texts) {
    std::vector<std::int32_t> text;
    for (std::uint32_t position = 0; position < expected.size(); ++position) {
      std::vector<float> logits(300);
      for (std::uint32_t id = 0; id < logits.size(); ++id) {
        logits[id] = static_cast<float>((id * 2654435761u ^ position * 40503u) >> 20) / 512 - 3;
      }
      text.push_back(choose_token(logits, text, options, 3, position));
    }
    EXPECT_EQ(text, expected) << options.temperature;
  }
}

TEST(ChooseToken, AChoiceIsAFunctionOfSeedSampleAndPosition) {
  const std::vector<float> flat(1000, 0.0f);
  SamplingOptions options = everything();
  const auto draw = [&](std::uint64_t seed, std::uint64_t sample) {
    options.seed = seed;
    std::vector<std::int32_t> ids;
    for (std::uint64_t position = 0; position < 20; ++position) {
      ids.push_back(choose_token(flat, {}, options, sample, position));
    }
    return ids;
  };
  EXPECT_EQ(draw(1, 0), draw(1, 0));
  std::set<std::vector<std::int32_t>> all{draw(1, 0), draw(2, 0), draw(1, 1), draw(1, 1 << 24),
                                          draw(1 + (1ULL << 40), 0)};
  EXPECT_EQ(all.size(), 5u);
  const auto ids = draw(1, 0);
  EXPECT_GT(std::set<std::int32_t>(ids.begin(), ids.end()).size(), 15u);
}

TEST(SamplingOptions, Ranges) {
  EXPECT_NO_THROW(SamplingOptions().validate());
  EXPECT_THROW((SamplingOptions{.temperature = -1}.validate()), ConfigError);
  EXPECT_THROW((SamplingOptions{.temperature = std::nan("")}.validate()), ConfigError);
  EXPECT_THROW((SamplingOptions{.top_k = -1}.validate()), ConfigError);
  EXPECT_THROW((SamplingOptions{.top_p = 1.1}.validate()), ConfigError);
  EXPECT_THROW((SamplingOptions{.min_p = -0.1}.validate()), ConfigError);
  EXPECT_THROW((SamplingOptions{.repeat_penalty = 0}.validate()), ConfigError);
  EXPECT_THROW((SamplingOptions{.typical_p = 1.1}.validate()), ConfigError);
  EXPECT_THROW((SamplingOptions{.repeat_last_n = -2}.validate()), ConfigError);
  EXPECT_THROW((SamplingOptions{.repeat_last_n = kSampleHistory + 1}.validate()), ConfigError);
  EXPECT_THROW((SamplingOptions{.presence_penalty = INFINITY}.validate()), ConfigError);
  EXPECT_THROW((SamplingOptions{.frequency_penalty = std::nan("")}.validate()), ConfigError);
  EXPECT_THROW((SamplingOptions{.no_repeat_ngram = -1}.validate()), ConfigError);
}

}  // namespace
}  // namespace zhgpt
