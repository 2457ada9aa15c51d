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

  // Rows of logits with what came before them, sampled at once and one by one by choose_token.
  void expect_choices(const Values<double>& logits, Index B, Index V, const SamplingOptions& options,
                      const std::vector<std::int32_t>& recent = {}) {
    const std::vector<float> narrow(logits.begin(), logits.end());
    const Index R = static_cast<Index>(recent.size()) / B;
    std::vector<std::int32_t> positions, want;
    for (Index b = 0; b < B; ++b) {
      positions.push_back(static_cast<std::int32_t>(3 * b + 1));
      std::vector<std::int32_t> before;
      for (Index r = 0; r < R; ++r) {
        if (const auto id = recent[static_cast<std::size_t>(b * R + r)]; id >= 0) before.push_back(id);
      }
      want.push_back(choose_token({narrow.data() + b * V, static_cast<std::size_t>(V)}, before, options,
                                  static_cast<std::uint64_t>(kFirst + b),
                                  static_cast<std::uint64_t>(3 * b + 1)));
    }
    const Tensor tokens = bench().ints(std::vector<std::int32_t>(static_cast<std::size_t>(B), -7), {B});
    bench().run(SampleTokens{tokens, bench().floats(narrow).reshaped({B, V}),
                             R > 0 ? bench().ints(recent, {B, R}) : Tensor{}, bench().ints(positions, {B}),
                             options, kFirst});
    EXPECT_EQ(bench().read_ints(tokens), want)
        << "V " << V << " top_k " << options.top_k << " top_p " << options.top_p << " min_p " << options.min_p
        << " temperature " << options.temperature << " penalty " << options.repeat_penalty;
  }
  static constexpr Index kFirst = (Index{1} << 24) - 3;  // the rows cross into the upper word of the sample
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
                       {.temperature = temperature, .top_k = 30, .repeat_penalty = penalty}, recent);
      }
    }
  }
}

TEST_P(Sample, FarApartAndInfinite) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  expect_choices({5, -kInf, 1000, -1000, 999, -kInf}, 1, 6, {.temperature = 1, .top_k = 0});
  expect_choices({5, -kInf, -2, -3e38, 3e38, 1}, 1, 6, {.temperature = 100, .top_k = 4});
  expect_choices({9, 1e-30, -1e-30, 0, 2e-30}, 1, 5, {.temperature = 0});
}

ZHGPT_ON_EVERY_DEVICE(Sample);

}  // namespace
}  // namespace zhgpt::test
