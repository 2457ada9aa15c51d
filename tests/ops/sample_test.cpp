// SampleTokens: the choice of choose_token, whatever filters are on.
#include "support/device.h"
#include "support/fill.h"
#include "support/reference_ops.h"
#include "zhgpt/sampling.h"

namespace zhgpt::test {
namespace {

class Sample : public OnDevice {
 protected:
  void SetUp() override {
    if (GetParam().dtype == DType::bf16) GTEST_SKIP() << "no operand is in bf16: the same code as in f32";
    OnDevice::SetUp();
  }

  // Rows of logits with what came before them, oldest first, sampled at once and one by one by choose_token.
  // So many tokens of each text are older than that, unless all there were are given.
  void expect_choices(const Values<double>& logits, Index B, Index V, const SamplingOptions& options,
                      const std::vector<std::int32_t>& recent = {}, Index older = 1) {
    const std::vector<float> narrow(logits.begin(), logits.end());
    const Index R = static_cast<Index>(recent.size()) / B;
    std::vector<std::int32_t> positions, want, ring(recent.size());
    std::vector<std::int64_t> samples;
    for (Index b = 0; b < B; ++b) {
      const Index position = R + older * (3 * b + 1);
      std::vector<std::int32_t> before;
      for (Index r = 0; r < R; ++r) {
        const std::int32_t id = recent[static_cast<std::size_t>(b * R + r)];
        ring[static_cast<std::size_t>(b * R + (position - R + r) % R)] = id;
        if (id >= 0) before.push_back(id);
      }
      positions.push_back(static_cast<std::int32_t>(position));
      samples.push_back(kFirst - 5 * b);
      want.push_back(choose_token_or_none({narrow.data() + b * V, static_cast<std::size_t>(V)}, before,
                                          options, static_cast<std::uint64_t>(samples.back()),
                                          static_cast<std::uint64_t>(position)));
    }
    const Tensor tokens = bench().ints(std::vector<std::int32_t>(static_cast<std::size_t>(B), -7), {B});
    bench().run(SampleTokens{tokens, bench().floats(narrow).reshaped({B, V}),
                             R > 0 ? bench().ints(ring, {B, R}) : Tensor{}, bench().ints(positions, {B}),
                             bench().longs(samples, {B}), options});
    EXPECT_EQ(bench().read_ints(tokens), want)
        << "V " << V << " R " << R << " top_k " << options.top_k << " typical_p " << options.typical_p
        << " top_p " << options.top_p << " min_p " << options.min_p << " temperature " << options.temperature
        << " penalties " << options.repeat_penalty << " " << options.presence_penalty << " "
        << options.frequency_penalty << " in " << options.repeat_last_n << " n-gram "
        << options.no_repeat_ngram;
  }
  static constexpr Index kFirst = (Index{1} << 40) + 3;  // down through where words of the counter change
};

TEST_P(Sample, EveryFilter) {
  std::uint32_t site = 0;
  for (const Index V : {2, 33, 2053}) {
    for (const Index top_k : {0, 1, 40, 1200}) {
      for (const auto& [top_p, min_p] : {std::pair{1., 0.}, {0.9, 0.}, {1., 0.1}, {0.6, 0.02}, {0., 1.}}) {
        const Index B = 3;
        expect_choices(random_reals(B * V, ++site, 4), B, V,
                       {.temperature = site % 2 ? 0.7 : 1.5, .top_k = top_k, .top_p = top_p, .min_p = min_p});
      }
    }
  }
}

TEST_P(Sample, LargeVocabularies) {
  for (const Index V : {16384, 16411, 65536}) {
    for (const Index top_k : {0, 40, 5000}) {
      expect_choices(random_reals(2 * V, 3, 9), 2, V,
                     {.temperature = 1, .top_k = top_k, .top_p = 0.97, .min_p = 0});
    }
  }
}

TEST_P(Sample, TiesGoToTheLowerId) {
  const Index B = 6, V = 300;
  Values<double> logits(static_cast<std::size_t>(B * V), -1);
  for (Index b = 0; b < B; ++b) {
    for (Index v = 0; v < V; v += 3) at(logits, b * V + v) = v % 2 ? 0. : -0.;
  }
  for (const Index top_k : {0, 3, 50, 150}) {
    for (const double temperature : {0., 1.}) {
      expect_choices(logits, B, V, {.temperature = temperature, .top_k = top_k, .top_p = 0.8, .min_p = 0});
    }
  }
}

TEST_P(Sample, WhatCameBeforeIsLessLikely) {
  const Index B = 4, V = 40;
  for (const Index R : {1, 64, 131}) {
    auto recent = random_ids(B * R, 5, V);
    for (std::size_t i = 0; i < recent.size(); i += 3) recent[i] = -1;  // none
    recent[1 % recent.size()] = 0;
    for (const double penalty : {0.5, 3.}) {
      for (const double temperature : {0., 0.9}) {
        expect_choices(random_reals(B * V, 6, 2), B, V,
                       {.temperature = temperature, .top_k = 30, .repeat_penalty = penalty}, recent,
                       penalty < 1 ? 0 : 7);
      }
    }
  }
}

// What lies in `recent` behind the text's end is no part of it.
TEST_P(Sample, TextsShorterThanWhatIsKept) {
  const Index V = 20, R = 40;
  std::vector<std::int32_t> recent(static_cast<std::size_t>(2 * R), 2);
  recent[0] = recent[static_cast<std::size_t>(R)] = 1;
  for (Index i = 1; i <= 5; ++i) recent[static_cast<std::size_t>(R + i)] = static_cast<std::int32_t>(1 + i);
  std::vector<float> logits(static_cast<std::size_t>(2 * V), 0);
  logits[1] = logits[static_cast<std::size_t>(V + 1)] = -1;
  const Tensor tokens = bench().ints({-7, -7}, {2});
  bench().run(SampleTokens{tokens,
                           bench().floats(logits).reshaped({2, V}),
                           bench().ints(recent, {2, R}),
                           bench().ints({1, 6}, {2}),
                           bench().longs({0, 0}, {2}),
                           {.temperature = 0, .no_repeat_ngram = 1}});
  EXPECT_EQ(bench().read_ints(tokens), (std::vector<std::int32_t>{2, 7}));
}

TEST_P(Sample, EveryPenaltyAsFarBackAsItLooks) {
  const Index B = 3, V = 50;
  for (const Index R : {5, 70, 1100}) {
    auto recent = random_ids(B * R, 8, V);
    for (std::size_t i = 0; i < recent.size(); i += 4)
      recent[i] = i % 8 ? -1 : static_cast<std::int32_t>(V);  // none
    for (Index b = 0; b < B; ++b)
      recent[static_cast<std::size_t>(b * R + 1)] = static_cast<std::int32_t>(2 + b);
    for (const std::int64_t last_n : {-1, 0, 3, 64, 1024}) {
      for (const double temperature : {0., 0.9}) {
        expect_choices(random_reals(B * V, 6, 2), B, V,
                       {.temperature = temperature,
                        .top_k = 30,
                        .repeat_last_n = last_n,
                        .presence_penalty = 0.5,
                        .frequency_penalty = 0.11},
                       recent);
        expect_choices(random_reals(B * V, 7, 2), B, V,
                       {.temperature = temperature,
                        .top_k = 0,
                        .repeat_penalty = 1.4,
                        .repeat_last_n = last_n,
                        .frequency_penalty = -0.05},
                       recent);
      }
    }
  }
}

TEST_P(Sample, RunsThatWereThereBefore) {
  const Index B = 4, V = 7, R = 40;
  for (const std::int64_t n : {1, 2, 3, 4, 40, 41, 1024}) {
    for (const double temperature : {0., 1.}) {
      // Of six tokens most followed any two before; once all did, and the ban is lifted.
      expect_choices(random_reals(B * V, 9, 1), B, V,
                     {.temperature = temperature, .top_k = 0, .no_repeat_ngram = n},
                     random_ids(B * R, 10, V));
      expect_choices(random_reals(B * V, 11, 1), B, V,
                     {.temperature = temperature, .top_k = 4, .no_repeat_ngram = n},
                     std::vector<std::int32_t>(static_cast<std::size_t>(B * R), 3));
    }
  }
  constexpr double kInf = std::numeric_limits<double>::infinity();
  Values<double> one_left(static_cast<std::size_t>(B * V), -kInf);
  for (Index b = 0; b < B; ++b) at(one_left, b * V + 4) = 1, at(one_left, b * V + 5) = b % 2 ? 1 : -kInf;
  expect_choices(one_left, B, V, {.temperature = 1, .presence_penalty = 1, .no_repeat_ngram = 1},
                 std::vector<std::int32_t>(static_cast<std::size_t>(B * R), 4));
}

TEST_P(Sample, Typical) {
  std::uint32_t site = 100;
  for (const Index V : {2, 33, 2053}) {
    for (const Index top_k : {0, 20, 1200}) {
      for (const double typical_p : {0., 0.2, 0.7, 0.999}) {
        const Index B = 2;
        expect_choices(random_reals(B * V, ++site, 4), B, V,
                       {.temperature = site % 2 ? 0.7 : 1.5,
                        .top_k = top_k,
                        .typical_p = typical_p,
                        .top_p = site % 4 < 2 ? 1 : 0.8,
                        .min_p = site % 3 ? 0 : 0.05});
      }
    }
  }
  expect_choices(random_reals(2 * 20000, 3, 3), 2, 20000,
                 {.top_k = 0, .typical_p = 0.6, .top_p = 1, .min_p = 0});
  // The likeliest is not typical; min-p is then relative to the likeliest of those that are.
  const double high = std::log(0.3), low = std::log(0.1);
  expect_choices({9, high, low, low, low, low, low, low, low}, 1, 9,
                 {.top_k = 0, .typical_p = 0.65, .top_p = 1, .min_p = 0.5});
  Values<double> equal(600, 1.5);
  for (const double typical_p : {0.3, 0.9}) {
    expect_choices(equal, 2, 300, {.top_k = 0, .typical_p = typical_p, .top_p = 1, .min_p = 0});
  }
}

TEST_P(Sample, NothingToChoose) {
  constexpr double kInf = std::numeric_limits<double>::infinity(),
                   kNaN = std::numeric_limits<double>::quiet_NaN();
  const Values<double> logits{1, -kInf, -kInf, 1, kNaN, -kInf, 1, kNaN, 2};  // <unk> is none
  for (const double temperature : {0., 1.}) {
    expect_choices(logits, 3, 3, {.temperature = temperature, .typical_p = 0.5, .no_repeat_ngram = 1},
                   {2, 2, 2});
  }
}

TEST_P(Sample, FarApartAndInfinite) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  expect_choices({5, -kInf, 1000, -1000, 999, -kInf}, 1, 6, {.temperature = 1, .top_k = 0});
  expect_choices({5, -kInf, -2, -3e38, 3e38, 1}, 1, 6, {.temperature = 100, .top_k = 4});
  expect_choices({5, -kInf, kInf, 2, kInf, 1}, 1, 6, {.temperature = 1, .top_k = 0});
  expect_choices({5, -kInf, kInf, 2, -kInf, 1}, 1, 6, {.temperature = 1, .top_k = 4, .typical_p = 0.5});
  expect_choices({9, 1e-30, -1e-30, 0, 2e-30}, 1, 5, {.temperature = 0});
}

ZHGPT_ON_EVERY_DEVICE(Sample);

}  // namespace
}  // namespace zhgpt::test
