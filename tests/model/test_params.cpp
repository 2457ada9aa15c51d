// The parameter table against closed formulas, and the initial values against their distribution.
#include <gtest/gtest.h>

#include <cmath>

#include "zhgpt/params.h"

namespace zhgpt {
namespace {

ModelConfig config_of(std::int64_t L, std::int64_t C, std::int64_t T, std::int64_t V) {
  return {.n_layer = L, .n_head = 2, .n_embd = C, .block_size = T, .vocab_size = V};
}

TEST(Parameters, CountIsTheClosedFormula) {
  for (const ModelConfig& c : {config_of(1, 2, 1, 2), config_of(3, 18, 7, 11), config_of(12, 768, 1024, 50257)}) {
    const std::int64_t C = c.n_embd;
    const std::int64_t expected = (c.vocab_size + c.block_size) * C + c.n_layer * (12 * C * C + 13 * C) + 2 * C;
    EXPECT_EQ(ParameterTable(c).count(), expected);
  }
  EXPECT_EQ(ParameterTable(config_of(12, 768, 1024, 50257)).count(), 124439808);  // GPT-2 small, as published
}

TEST(Parameters, DecayIsAPrefixOfExactlyTheMatrices) {
  const ParameterTable table(config_of(2, 18, 7, 11));
  std::int64_t end = 0;
  for (const ParameterSpec& spec : table.specs()) {
    EXPECT_EQ(spec.weight_decay, spec.shape.size() == 2) << spec.name;
    EXPECT_EQ(spec.weight_decay, spec.offset < table.n_decay()) << spec.name;
    EXPECT_EQ(spec.offset % 64, 0) << spec.name;
    EXPECT_GE(spec.offset, end) << spec.name;
    if (spec.weight_decay) {
      EXPECT_LE(spec.offset + spec.numel, table.n_decay()) << spec.name;
    }
    end = spec.offset + spec.numel;
  }
  EXPECT_LE(end, table.flat_size());
}

TEST(Parameters, InitialValuesHaveTheStatedDeviation) {
  const ParameterTable table(config_of(8, 64, 64, 300));
  const std::vector<float> values = table.initial_values(3);
  for (const ParameterSpec& spec : table.specs()) {
    double sum = 0, squares = 0;
    for (std::int64_t i = 0; i < spec.numel; ++i) {
      const auto x = static_cast<double>(values[static_cast<std::size_t>(spec.offset + i)]);
      sum += x;
      squares += x * x;
    }
    const auto n = static_cast<double>(spec.numel);
    if (spec.shape.size() == 1) {
      const double expected = spec.name.find("ln_") != std::string::npos && spec.name.ends_with("weight") ? 1 : 0;
      EXPECT_EQ(sum, expected * n) << spec.name;
      EXPECT_EQ(squares, expected * n) << spec.name;
    } else {
      const double deviation = spec.name.ends_with("c_proj.weight") ? 0.02 / 4 : 0.02;  // sqrt(2 * 8)
      EXPECT_NEAR(sum / n, 0, 5 * deviation / std::sqrt(n)) << spec.name;
      EXPECT_NEAR(std::sqrt(squares / n), deviation, 5 * deviation / std::sqrt(2 * n)) << spec.name;
    }
  }
  // Gaps between the tensors hold zeros.
  double inside = 0, all = 0;
  for (float x : values) all += std::abs(static_cast<double>(x));
  for (const ParameterSpec& spec : table.specs()) {
    for (std::int64_t i = 0; i < spec.numel; ++i) {
      inside += std::abs(static_cast<double>(values[static_cast<std::size_t>(spec.offset + i)]));
    }
  }
  EXPECT_NEAR(all, inside, 1e-6);
}

TEST(Parameters, InitialValuesDoNotDependOnOtherTensors) {
  // A larger vocabulary moves every later tensor, and changes none.
  const ParameterTable small(config_of(2, 16, 8, 10)), large(config_of(2, 16, 8, 99));
  const auto a = small.initial_values(3), b = large.initial_values(3), c = small.initial_values(4);
  EXPECT_EQ(a, small.initial_values(3));
  for (const ParameterSpec& spec : small.specs()) {
    const ParameterSpec& other = large.find(spec.name);
    std::int64_t changed = 0;
    for (std::int64_t i = 0; i < spec.numel; ++i) {
      const auto at = static_cast<std::size_t>(spec.offset + i);
      EXPECT_EQ(a[at], b[static_cast<std::size_t>(other.offset + i)]) << spec.name << '[' << i << ']';
      changed += a[at] != c[at];
    }
    if (spec.shape.size() == 2) {
      EXPECT_GT(changed, spec.numel * 9 / 10) << spec.name;
    }
  }
}

}  // namespace
}  // namespace zhgpt
