// Writing with a cache: the bits of reading the whole window for every token, whoever else is written beside.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "zhgpt/error.h"
#include "zhgpt/sampler.h"

namespace zhgpt {
namespace {

struct Shape {
  ModelConfig config;
  int threads;
};
// A block that is a fraction of 32 queries, one that is several and a rest, and one of a single token.
const Shape kShapes[] = {{{.n_layer = 2, .n_head = 2, .n_embd = 16, .block_size = 8, .vocab_size = 70}, 1},
                         {{.n_layer = 2, .n_head = 4, .n_embd = 80, .block_size = 75, .vocab_size = 130}, 2},
                         {{.n_layer = 1, .n_head = 1, .n_embd = 208, .block_size = 33, .vocab_size = 65}, 3},
                         {{.n_layer = 1, .n_head = 1, .n_embd = 8, .block_size = 1, .vocab_size = 9}, 2}};

struct Kit {
  explicit Kit(const ModelConfig& config, int threads = 2, DType dtype = DType::f32)
      : backend(make_backend("cpu", threads)), model(*backend, config, 1, Gpt::Purpose::inference, dtype) {
    std::vector<float> values = model.table().initial_values(1);
    for (float& value : values) value *= 8;  // so that what came before matters
    model.set_parameters(values);
  }
  std::vector<float> uncached_logits(std::span<const std::int32_t> tokens) {
    const auto n = static_cast<std::int64_t>(tokens.size()),
               T = n - window_begin(n, model.config().block_size);
    backend->upload(model.inputs(1, T).data, tokens.data() + (n - T), T * 4);
    std::vector<float> logits(static_cast<std::size_t>(model.config().vocab_size));
    backend->download(logits.data(), model.last_logits(1, T).data, model.config().vocab_size * 4);
    return logits;
  }
  std::unique_ptr<Backend> backend;
  Gpt model;
};

const SamplingOptions kEverything{.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0};
std::vector<std::int32_t> made_up(std::int64_t count, std::int64_t V, std::int32_t salt) {
  std::vector<std::int32_t> ids;
  for (std::int32_t i = 0; i < count; ++i) ids.push_back(static_cast<std::int32_t>((i * i * 7 + i * salt + 3) % V));
  return ids;
}
std::vector<float> copy_of(std::span<const float> values) { return {values.begin(), values.end()}; }
std::vector<std::int32_t> copy_of(std::span<const std::int32_t> ids) { return {ids.begin(), ids.end()}; }

TEST(Window, SlidesByHalves) {
  EXPECT_EQ(window_begin(1, 8), 0);
  EXPECT_EQ(window_begin(8, 8), 0);
  EXPECT_EQ(window_begin(9, 8), 4);
  EXPECT_EQ(window_begin(12, 8), 4);
  EXPECT_EQ(window_begin(13, 8), 8);
  EXPECT_EQ(window_begin(2, 1), 1);
  for (std::int64_t n = 1; n < 100; ++n) {
    const std::int64_t seen = n - window_begin(n, 9);
    EXPECT_LE(seen, 9);
    EXPECT_GE(seen, std::min<std::int64_t>(n, 5));  // more than half
  }
}

TEST(Generator, LogitsHaveTheBitsOfTheUncachedPass) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(shape.config.block_size);
    Kit kit(shape.config, shape.threads);
    Generator generator(kit.model);
    generator.start(made_up(3, shape.config.vocab_size, 1), 0);
    std::set<std::vector<float>> different;
    for (std::int32_t id : made_up(3 * shape.config.block_size + 5, shape.config.vocab_size, 5)) {
      const auto expected = kit.uncached_logits(generator.tokens());
      ASSERT_EQ(copy_of(generator.logits()), expected) << generator.tokens().size();
      different.insert(expected);
      generator.append(id);
    }
    EXPECT_GT(different.size(), 2u);
  }
}

TEST(Generator, WritesWhatTheUncachedOneWrites) {
  for (const Shape& shape : kShapes) {
    Kit kit(shape.config, shape.threads);
    Generator generator(kit.model);
    UncachedGenerator uncached(kit.model);
    for (const std::int64_t length : {0, 2, 90}) {  // of the prompt
      const auto prompt = made_up(length, shape.config.vocab_size, 2);
      generator.start(prompt, 4);
      uncached.start(prompt, 4);
      for (int i = 0; i < 80; ++i) ASSERT_EQ(generator.next(kEverything), uncached.next(kEverything)) << i;
    }
  }
}

TEST(Generator, ARowIsWhatItIsAlone) {
  const Shape& shape = kShapes[1];
  Kit kit(shape.config, shape.threads);
  constexpr std::int64_t kRows = 5;
  const std::int64_t lengths[] = {0, 7, 74, 75, 31};  // some slide while others do not
  Generator together(kit.model, kRows), alone(kit.model);
  for (std::int64_t row = 0; row < kRows; ++row) {
    together.start(row, made_up(lengths[row], shape.config.vocab_size, 3), static_cast<std::uint64_t>(row));
  }
  for (int i = 0; i < 120; ++i) {
    if (i == 40) together.stop(2);
    const auto ids = copy_of(together.next_all(kEverything));
    if (i >= 40) EXPECT_EQ(ids[2], -1);
    if (i == 60) together.start(2, made_up(20, shape.config.vocab_size, 9), 7);  // in the place of a finished one
  }
  for (std::int64_t row = 0; row < kRows; ++row) {
    const bool replaced = row == 2;
    alone.start(made_up(replaced ? 20 : lengths[row], shape.config.vocab_size, replaced ? 9 : 3),
                replaced ? 7 : static_cast<std::uint64_t>(row));
    while (alone.tokens().size() < together.tokens(row).size()) alone.next(kEverything);
    EXPECT_EQ(copy_of(together.tokens(row)), copy_of(alone.tokens())) << row;
    EXPECT_EQ(copy_of(together.logits(row)), copy_of(alone.logits())) << row;
  }
}

TEST(Generator, WhatIsTakenBackIsAsIfItHadNotBeen) {
  for (const Shape& shape : kShapes) {
    Kit kit(shape.config, shape.threads);
    Generator generator(kit.model);
    generator.start(made_up(4, shape.config.vocab_size, 1), 0);
    for (int i = 0; i < 130; ++i) generator.next(kEverything);
    const auto whole = copy_of(generator.tokens());
    for (const std::int64_t count : {1, 2, 20, 100, 134}) {
      generator.undo(count);
      EXPECT_EQ(generator.tokens().size(), whole.size() - static_cast<std::size_t>(count));
      EXPECT_EQ(copy_of(generator.logits()), kit.uncached_logits(generator.tokens())) << count;
      for (std::size_t i = generator.tokens().size(); i < whole.size(); ++i) generator.append(whole[i]);
      EXPECT_EQ(copy_of(generator.logits()), kit.uncached_logits(whole)) << count;
    }
    generator.undo(3);
    generator.logits();
    generator.append(5);  // another way
    EXPECT_EQ(copy_of(generator.logits()), kit.uncached_logits(generator.tokens()));
  }
}

// Rounding a weight to bf16 moves it by 2^-9 of itself, to int8 by 1/254 of the largest of its channel.
TEST(Generator, RoundedWeightsMoveLogitsALittle) {
  const Shape& shape = kShapes[1];
  Kit kit(shape.config);
  std::vector<float> values = kit.model.table().initial_values(1);
  kit.model.set_parameters(values);
  const auto spread = [](const std::vector<float>& x) {
    return *std::max_element(x.begin(), x.end()) - *std::min_element(x.begin(), x.end());
  };
  for (const auto& [type, bound] : {std::pair{WeightType::bf16, 0.01f}, {WeightType::int8, 0.04f}}) {
    Generator exact(kit.model), rounded(kit.model, 1, type);
    exact.start(made_up(50, shape.config.vocab_size, 1), 0);
    rounded.start(made_up(50, shape.config.vocab_size, 1), 0);
    for (std::int32_t id : made_up(60, shape.config.vocab_size, 4)) {
      const auto want = copy_of(exact.logits()), got = copy_of(rounded.logits());
      ASSERT_NE(want, got);
      for (std::size_t i = 0; i < want.size(); ++i) ASSERT_LE(std::abs(want[i] - got[i]), bound * spread(want));
      exact.append(id);
      rounded.append(id);
    }
  }
}

TEST(Generator, DoublePrecisionHasNoPackedWeights) {
  Kit kit(kShapes[0].config, 1, DType::f64);
  EXPECT_THROW(Generator(kit.model, 1, WeightType::int8), ConfigError);
  Generator generator(kit.model);
  generator.start({}, 0);
  EXPECT_GE(generator.next(kEverything), 1);
}

}  // namespace
}  // namespace zhgpt
