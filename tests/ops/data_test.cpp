// Philox, Permutation, DataOrder and GatherBatch: which random number, which window, which tokens.
#include <set>

#include "support/device.h"
#include "support/fill.h"
#include "support/reference_ops.h"

namespace zhgpt::test {
namespace {

// The published vectors of philox4x32-10: Random123, examples/kat_vectors.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32_10({0, 0, 0, 0}, {0, 0}),
            (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32_10({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, EveryCoordinateChangesTheNumbers) {
  std::set<PhiloxBlock> seen;
  seen.insert(random_block(1, RandomStream::init, 1, 1, 1));
  seen.insert(random_block(std::uint64_t{1} << 32 | 1, RandomStream::init, 1, 1, 1));
  seen.insert(random_block(1, RandomStream::dropout, 1, 1, 1));
  seen.insert(random_block(1, RandomStream::init, std::uint64_t{1} << 32 | 1, 1, 1));
  seen.insert(random_block(1, RandomStream::init, 1, 2, 1));
  seen.insert(random_block(1, RandomStream::init, 1, 1, std::uint64_t{1} << 32 | 1));
  EXPECT_EQ(seen.size(), 6u);
}

TEST(Philox, UniformStaysBelowItsLimit) {
  EXPECT_EQ(uniform_float(0), 0);
  EXPECT_LT(uniform_float(~0u), 1);
  for (const std::uint64_t n : {std::uint64_t{1}, std::uint64_t{7}, ~std::uint64_t{0}}) {
    EXPECT_EQ(uniform_below(0, 0, n), 0u);
    EXPECT_EQ(uniform_below(~0u, ~0u, n), n - 1);
  }
}

TEST(Permutation, IsABijection) {
  for (std::uint64_t n = 1; n < 300; n += n < 70 ? 1 : 13) {
    std::set<std::uint64_t> seen;
    for (std::uint64_t i = 0; i < n; ++i) seen.insert(Permutation(5, 3, n)(i));
    EXPECT_EQ(seen.size(), n);
    EXPECT_EQ(*seen.rbegin(), n - 1);
  }
}

TEST(Permutation, DependsOnSeedAndEpoch) {
  const auto order = [](std::uint64_t seed, std::uint64_t epoch) {
    std::vector<std::uint64_t> result;
    for (std::uint64_t i = 0; i < 100; ++i) result.push_back(Permutation(seed, epoch, 100)(i));
    return result;
  };
  EXPECT_NE(order(1, 0), order(2, 0));
  EXPECT_NE(order(1, 0), order(1, 1));
  EXPECT_EQ(order(1, 0), order(1, 0));
}

TEST(DataOrder, AnEpochVisitsEachWindowOnceAndStaysInside) {
  for (const std::int64_t block_size : {1, 4, 7}) {
    for (const std::int64_t n_tokens :
         {block_size + 1, 2 * block_size, 2 * block_size + 1, std::int64_t{100}}) {
      const DataOrder order{11, n_tokens, block_size};
      const std::int64_t n = order.n_windows();
      for (std::int64_t epoch = 0; epoch < 20; ++epoch) {
        std::set<std::int64_t> starts;
        for (std::int64_t i = 0; i < n; ++i) {
          EXPECT_EQ(order.epoch_of(epoch * n + i), epoch);
          starts.insert(order.start(epoch * n + i));
        }
        ASSERT_EQ(static_cast<std::int64_t>(starts.size()), n);
        ASSERT_GE(*starts.begin(), 0);
        ASSERT_LE(*starts.rbegin() + block_size + 1, n_tokens);
        for (std::int64_t start : starts) ASSERT_EQ((start - *starts.begin()) % block_size, 0);
      }
    }
  }
}

TEST(DataOrder, ThePhaseReachesTheFirstAndTheLastToken) {
  const DataOrder order{3, 40, 8};
  bool first = false, last = false;
  for (std::int64_t sample = 0; sample < 400; ++sample) {
    first |= order.start(sample) == 0;
    last |= order.start(sample) + 9 == 40;
  }
  EXPECT_TRUE(first && last);
}

class Gather : public OnDevice {};

TEST_P(Gather, TargetsAreInputsShiftedByOne) {
  const Index B = 3, n_tokens = 1500, first_token = 64000;
  std::vector<std::int32_t> tokens;
  std::vector<std::uint16_t> narrow;
  for (Index i = 0; i < n_tokens; ++i) {
    tokens.push_back(static_cast<std::int32_t>(first_token + i));
    narrow.push_back(static_cast<std::uint16_t>(first_token + i));
  }
  for (const Tensor& corpus : {bench().ints(tokens, {n_tokens}), bench().shorts(narrow, {n_tokens})}) {
    for (const Index T : {1, 7, 8, 600}) {
      const DataOrder order{1, n_tokens, T};
      const Values<std::int32_t> unset(static_cast<std::size_t>(B * T), -7);
      const Tensor inputs = bench().ints(unset, {B, T}), targets = bench().ints(unset, {B, T});
      for (const Index micro_step : {0, 1}) {
        bench().run(GatherBatch{inputs, targets, corpus, order, micro_step, 2,
                                bench().state({.step = 1, .skipped_batches = 3})});
        const auto got = bench().read_ints(inputs), next = bench().read_ints(targets);
        for (Index b = 0; b < B; ++b)
          for (Index t = 0; t < T; ++t) {
            const Index start = order.start((4 * 2 + micro_step) * B + b);
            ASSERT_EQ(at(got, b * T + t), first_token + start + t);
            ASSERT_EQ(at(next, b * T + t), first_token + start + t + 1);
          }
      }
    }
  }
}

// Rows that somebody has cut out: sample i lies in row i % R, wherever the order says that it came from.
TEST_P(Gather, TakesRowsInTurn) {
  const Index B = 2, R = 8, T = 12;
  std::vector<std::int32_t> rows;
  std::vector<std::uint16_t> narrow;
  for (Index i = 0; i < R * (T + 1); ++i) {
    rows.push_back(static_cast<std::int32_t>(1000 + i));
    narrow.push_back(static_cast<std::uint16_t>(1000 + i));
  }
  const Tensor inputs = bench().ints(Values<std::int32_t>(B * T, -7), {B, T}),
               targets = bench().ints(Values<std::int32_t>(B * T, -7), {B, T});
  for (const Tensor& tokens : {bench().ints(rows, {R, T + 1}), bench().shorts(narrow, {R, T + 1})}) {
    for (const Index step : {0, 1, 2, 7}) {
      for (const Index micro_step : {0, 1}) {
        bench().run(GatherBatch{inputs,
                                targets,
                                tokens,
                                {},
                                micro_step,
                                2,
                                bench().state({.step = step - step / 2, .skipped_batches = step / 2})});
        const auto got = bench().read_ints(inputs), next = bench().read_ints(targets);
        for (Index b = 0; b < B; ++b)
          for (Index t = 0; t < T; ++t) {
            const Index row = ((step * 2 + micro_step) * B + b) % R;
            ASSERT_EQ(at(got, b * T + t), 1000 + row * (T + 1) + t);
            ASSERT_EQ(at(next, b * T + t), 1000 + row * (T + 1) + t + 1);
          }
      }
    }
  }
}

ZHGPT_ON_EVERY_DEVICE(Gather);

}  // namespace
}  // namespace zhgpt::test
