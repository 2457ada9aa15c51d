// Decoding from a cache of keys and values against the whole window's forward pass: bits in f32, and what
// rounded weights cost.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "support/fill.h"
#include "zhgpt/error.h"
#include "zhgpt/sampler.h"

namespace zhgpt {
namespace {

using Ids = std::vector<std::int32_t>;

// The second's window is longer than one chunk of a sum over keys (192), and no size of it is even.
const ModelConfig kConfigs[] = {
    {.n_layer = 2, .n_head = 2, .n_embd = 16, .block_size = 8, .vocab_size = 70},
    {.n_layer = 2, .n_head = 3, .n_embd = 21, .block_size = 211, .vocab_size = 37},
};

// A model of random parameters on a backend of its own.
struct Model {
  std::unique_ptr<Backend> backend;
  Gpt gpt;
  Model(const ModelConfig& config, int threads, DType dtype = DType::f32)
      : backend(make_backend("cpu", threads)), gpt(*backend, config, 1, Gpt::Purpose::inference, dtype) {
    auto values = test::random_reals(gpt.table().flat_size(), 1, 0.3);
    for (double& x : values) x *= 0.7;  // no longer exact in bf16
    gpt.set_parameters({values.begin(), values.end()});
  }
  // What Gpt itself says follows these tokens, from the window's forward pass.
  std::vector<float> logits_after(std::span<const std::int32_t> tokens) {
    const auto n = static_cast<std::int64_t>(tokens.size());
    const std::int64_t T = n - window_begin(n, gpt.config().block_size);
    backend->upload(gpt.inputs(1, T).data, tokens.data() + (n - T), T * 4);
    const Tensor logits = gpt.last_logits(1, T);
    std::vector<float> out(static_cast<std::size_t>(logits.numel()));
    backend->download(out.data(), logits.data, logits.bytes());
    return out;
  }
};

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

Ids some_text(const ModelConfig& config, std::int64_t length, std::uint32_t which = 0) {
  return test::random_ids(length, 100 + which, config.vocab_size);
}

TEST(Window, SlidesByHalvesAndDependsOnTheCountAlone) {
  for (const std::int64_t block_size : {1, 2, 7, 8, 64}) {
    std::int64_t before = 0;
    for (std::int64_t n = 1; n <= 5 * block_size; ++n) {
      const std::int64_t begin = window_begin(n, block_size);
      if (n <= block_size) {
        EXPECT_EQ(begin, 0);
      }
      EXPECT_LE(n - begin, block_size);
      EXPECT_GE(n - begin, std::min(n, block_size / 2));
      if (begin != before) {
        EXPECT_EQ(begin - before, std::max<std::int64_t>(1, block_size / 2)) << n;
        EXPECT_EQ(n - 1 - before, block_size) << n;  // not before the window was full
      }
      before = begin;
    }
  }
}

TEST(Decoding, EveryPositionHasTheBitsOfTheWholeWindow) {
  for (const ModelConfig& config : kConfigs) {
    Model reference(config, 1);
    const Ids text = some_text(config, 3 * config.block_size);
    Ids so_far{kEndOfTextId};
    std::vector<std::vector<float>> want;
    for (const std::int32_t id : text) {
      want.push_back(reference.logits_after(so_far));
      so_far.push_back(id);
    }
    for (const int threads : {1, 2, 3}) {
      Model model(config, threads);
      Generator generator(model.gpt);
      generator.start({}, 0);
      for (std::size_t i = 0; i < text.size(); ++i) {
        ASSERT_TRUE(same_bits(generator.logits(), want[i])) << i << ", threads " << threads;
        generator.append(text[i]);
      }
      EXPECT_EQ(Ids(generator.tokens().begin(), generator.tokens().end()), so_far);
    }
  }
}

// Ragged prompts, one of them longer than the window; rows that stop and start anew beside the others.
TEST(Decoding, ARowDoesNotDependOnItsNeighbours) {
  const SamplingOptions options{.seed = 5};
  for (const ModelConfig& config : kConfigs) {
    Model model(config, 2);
    const std::int64_t T = config.block_size, kLengths[] = {0, 3, T - 2, T + 5, 1};
    Generator all(model.gpt, 5);
    for (std::int64_t row = 0; row < 5; ++row) {
      all.start(row, some_text(config, kLengths[row], static_cast<std::uint32_t>(row)),
                static_cast<std::uint64_t>(row));
    }
    for (std::int64_t i = 0; i < T + 9; ++i) {
      if (i == 4) all.stop(1);
      if (i == 7) all.start(1, some_text(config, 2, 9), 9);
      const auto ids = all.next_all(options);
      EXPECT_EQ(ids[1] == -1, i >= 4 && i < 7);
    }
    Generator alone(model.gpt);
    for (std::int64_t row = 0; row < 5; ++row) {
      const bool again = row == 1;
      const std::uint32_t which = again ? 9 : static_cast<std::uint32_t>(row);
      const std::int64_t written = again ? T + 9 - 7 : T + 9;
      alone.start(some_text(config, again ? 2 : kLengths[row], which), which);
      for (std::int64_t i = 0; i < written; ++i) alone.next(options);
      EXPECT_TRUE(std::ranges::equal(all.tokens(row), alone.tokens())) << row;
      EXPECT_TRUE(same_bits(all.logits(row), model.logits_after(alone.tokens()))) << row;
    }
  }
}

TEST(Decoding, WhatIsTakenBackAndWrittenAgainHasTheSameBits) {
  for (const ModelConfig& config : kConfigs) {
    Model model(config, 1);
    Generator generator(model.gpt);
    const Ids text = some_text(config, 2 * config.block_size);
    generator.start(text, 0);
    for (const std::int64_t count : {std::int64_t{0}, std::int64_t{1}, std::int64_t{3},
                                     config.block_size / 2 + 1, 2 * config.block_size}) {
      generator.undo(count);
      EXPECT_TRUE(same_bits(generator.logits(), model.logits_after(generator.tokens()))) << count;
      for (std::size_t i = text.size() - static_cast<std::size_t>(count); i < text.size(); ++i)
        generator.append(text[i]);
      EXPECT_TRUE(same_bits(generator.logits(), model.logits_after(generator.tokens()))) << count;
    }
    const Ids other = some_text(config, 2, 7);  // something else in place of what was taken back
    generator.undo(2);
    generator.append(other[0]);
    generator.logits();
    generator.append(other[1]);
    EXPECT_TRUE(same_bits(generator.logits(), model.logits_after(generator.tokens())));
    generator.undo(2);  // as many others in between, unasked: nothing of what was there may be left
    for (const std::int32_t id : some_text(config, 3, 8)) generator.append(id);
    EXPECT_TRUE(same_bits(generator.logits(), model.logits_after(generator.tokens())));
  }
}

// Also that the generator without a cache is the same.
TEST(Decoding, WithAndWithoutCacheTheTextsAreTheSame) {
  const ModelConfig& config = kConfigs[0];
  Model model(config, 2);
  Generator cached(model.gpt);
  UncachedGenerator plain(model.gpt);
  cached.start({}, 3);
  plain.start({}, 3);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(cached.next({}), plain.next({})) << i;
}

TEST(Decoding, DoublesToo) {
  Model model(kConfigs[0], 2, DType::f64);
  Generator cached(model.gpt);
  UncachedGenerator uncached(model.gpt);
  cached.start({}, 0);
  uncached.start({}, 0);
  for (int i = 0; i < 30; ++i) {
    const std::int32_t id = cached.next({});
    EXPECT_GE(id, 0);
    EXPECT_EQ(uncached.next({}), id);
  }
}

// Token by token and all at once: rounding a row looks at that row alone.
TEST(Decoding, WithRoundedWeightsTooTheCacheChangesNoBit) {
  for (const ModelConfig& config : kConfigs) {
    Model model(config, 3);
    const Ids text = some_text(config, config.block_size - 1);
    for (const WeightType weights : {WeightType::bf16, WeightType::int8}) {
      Generator stepwise(model.gpt, 1, weights), at_once(model.gpt, 2, weights);
      stepwise.start({}, 0);
      for (const std::int32_t id : text) {
        stepwise.logits();
        stepwise.append(id);
      }
      at_once.start(1, text, 0);
      EXPECT_TRUE(same_bits(stepwise.logits(), at_once.logits(1))) << static_cast<int>(weights);
    }
  }
}

// A weight is off by at most 2^-9 of itself in bf16, by max|w| / 254 in int8, where the rows are rounded like
// the weights. Through four products and a head the errors of so many inputs average out: a few of these
// units of the logits' own spread.
TEST(Decoding, RoundedWeightsStayNear) {
  for (const ModelConfig& config : kConfigs) {
    Model model(config, 1);
    Generator exact(model.gpt);
    const Ids text = some_text(config, config.block_size - 1);
    for (const auto& [weights, bound] :
         {std::pair{WeightType::bf16, 0.02}, std::pair{WeightType::int8, 0.06}}) {
      Generator rounded(model.gpt, 1, weights);
      exact.start(text, 0);
      rounded.start(text, 0);
      const auto want = exact.logits(), got = rounded.logits();
      double error = 0, spread = 0;
      for (std::size_t v = 0; v < want.size(); ++v) {
        error += std::pow(static_cast<double>(got[v]) - static_cast<double>(want[v]), 2);
        spread += std::pow(static_cast<double>(want[v]), 2);
      }
      EXPECT_GT(error, 0);  // rounded they are
      EXPECT_LE(std::sqrt(error / spread), bound) << static_cast<int>(weights);
    }
  }
}

TEST(Decoding, WeightsThatCannotBePackedAreRefused) {
  Model model(kConfigs[0], 1, DType::f64);
  EXPECT_THROW(Generator(model.gpt, 1, WeightType::int8), ConfigError);
}

}  // namespace
}  // namespace zhgpt
