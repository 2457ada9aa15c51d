// What the filters keep, how often each token is chosen, and that a choice is a function of its place.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "zhgpt/error.h"
#include "zhgpt/sampling.h"
#include "zhgpt/tokenizer.h"

namespace zhgpt {
namespace {

constexpr int kDraws = 20000;

SamplingOptions everything() { return {.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0}; }

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
void expect_frequencies(const std::map<std::int32_t, double>& got, const std::map<std::int32_t, double>& expected) {
  for (const auto& [id, p] : expected) {
    EXPECT_NEAR(got.contains(id) ? got.at(id) : 0, p, 5 * std::sqrt(p * (1 - p) / kDraws)) << id;
  }
  EXPECT_EQ(got.size(), expected.size());  // and nothing else
}

const std::vector<float> kLogits = logits_of({0.1, 0.4, 0.05, 0.3, 0.15});  // 2, 4, 5, 1, 3 by falling probability

TEST(ChooseToken, WithoutFiltersByProbabilityAndNeverUnknown) {
  expect_frequencies(frequencies(kLogits, everything()), {{1, 0.1}, {2, 0.4}, {3, 0.05}, {4, 0.3}, {5, 0.15}});
}

TEST(ChooseToken, GreedyTakesTheLikeliestAndOfEqualsTheLowest) {
  SamplingOptions greedy = everything();
  greedy.temperature = 0;
  EXPECT_EQ(choose_token(kLogits, {}, greedy, 0, 0), 2);
  EXPECT_EQ(choose_token(std::vector<float>{9, 1, 3, 3, 3}, {}, greedy, 0, 0), 2);
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
  expect_frequencies(frequencies(logits, options, {2, 4, 2}), {{2, std::exp(0.5) / z},
                                                              {3, std::exp(1) / z},
                                                              {4, std::exp(-2) / z},
                                                              {5, std::exp(-1) / z}});
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
  std::set<std::vector<std::int32_t>> all{draw(1, 0), draw(2, 0), draw(1, 1), draw(1, 1 << 24), draw(1 + (1ULL << 40), 0)};
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
}

}  // namespace
}  // namespace zhgpt
