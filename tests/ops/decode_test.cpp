// EmbeddingDecode, CacheKeysValues, AppendTokens.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "support/device.h"
#include "support/fill.h"

namespace zhgpt::test {
namespace {

using Sizes = std::array<std::int64_t, 4>;
const Sizes kTables[] = {
    {1, 1, 1, 1}, {5, 20, 13, 9}, {37, 33, 4, 70}, {3, 520, 9, 4}, {2, 2056, 5, 3}};  // B, C, V, S
const Sizes kCaches[] = {
    {1, 1, 1, 1}, {3, 9, 7, 5}, {2, 70, 64, 70}, {4, 33, 16, 1}, {20, 3, 128, 2}};  // NH, S, HS, T

class Decode : public OnDevice {};

TEST_P(Decode, EmbeddingTakesEachRowsPosition) {
  for (const auto& [B, C, V, S] : kTables) {
    const auto tokens = random_ids(B, 1, V), lengths = random_ids(B, 2, S);
    const auto wte = random_reals(V * C, 3), wpe = random_reals(S * C, 4);
    const Tensor out = bench().unset({B, C});
    bench().run(EmbeddingDecode{out, bench().ints(tokens, {B}), bench().ints(lengths, {B}),
                                bench().reals(wte, {V, C}), bench().reals(wpe, {S, C})});
    std::vector<double> want;
    for (std::int64_t i = 0; i < B * C; ++i) {
      const auto b = static_cast<std::size_t>(i / C);
      want.push_back(wte[static_cast<std::size_t>(tokens[b] * C + i % C)] +
                     wpe[static_cast<std::size_t>(lengths[b] * C + i % C)]);
    }
    EXPECT_TRUE(close(bench().read(out), want, forward(), out.shape_text()));
  }
}

TEST_P(Decode, KeysAndValuesGoToTheFirstPositions) {
  for (const auto& [NH, S, HS, T] : kCaches) {
    const auto qkv = random_reals(T * 3 * NH * HS, 1), before = random_reals(NH * S * HS, 2);
    const Tensor k = bench().reals(before, {NH, S, HS}), v = bench().reals(before, {NH, S, HS});
    bench().run(CacheKeysValues{k, v, bench().reals(qkv, {T, 3, NH, HS})});
    std::vector<double> want_k = before, want_v = before;
    for (std::int64_t t = 0; t < T; ++t)
      for (std::int64_t h = 0; h < NH; ++h)
        for (std::int64_t i = 0; i < HS; ++i) {
          const auto to = static_cast<std::size_t>((h * S + t) * HS + i);
          want_k[to] = qkv[static_cast<std::size_t>(((t * 3 + 1) * NH + h) * HS + i)];
          want_v[to] = qkv[static_cast<std::size_t>(((t * 3 + 2) * NH + h) * HS + i)];
        }
    EXPECT_EQ(bench().read(k), want_k);
    EXPECT_EQ(bench().read(v), want_v);
  }
}

TEST_P(Decode, AChosenTokenBecomesTheLastOfItsText) {
  constexpr std::int64_t kRows = 300, kRecent = 7, kWritten = 4;
  const auto ids = [](std::int64_t count, std::uint32_t site) { return random_ids(count, site, 1000); };
  auto positions = ids(kRows, 1), tokens = ids(kRows, 2), lengths = ids(kRows, 3), inputs = ids(kRows, 4),
       recent = ids(kRows * kRecent, 5), written = ids(kRows * kWritten, 6);
  for (std::size_t b = 1; b < tokens.size(); b += 3) tokens[b] = kNoToken;  // nothing could be chosen
  const Tensor in = bench().ints(inputs, {kRows}), before = bench().ints(recent, {kRows, kRecent}),
               ring = bench().ints(written, {kRows, kWritten}), at = bench().ints(positions, {kRows}),
               cached = bench().ints(lengths, {kRows}), chosen = bench().ints(tokens, {kRows});
  for (int step = 0; step < 2; ++step) {
    bench().run(AppendTokens{in, before, ring, at, cached, chosen});
    for (std::size_t b = 0; b < positions.size(); ++b) {
      const auto place = static_cast<std::size_t>(positions[b]++);
      inputs[b] = std::max(0, tokens[b]);
      recent[b * kRecent + place % kRecent] = tokens[b];
      written[b * kWritten + place % kWritten] = tokens[b];
      ++lengths[b];
    }
  }
  EXPECT_EQ(bench().read_ints(in), inputs);
  EXPECT_EQ(bench().read_ints(before), recent);
  EXPECT_EQ(bench().read_ints(ring), written);
  EXPECT_EQ(bench().read_ints(at), positions);
  EXPECT_EQ(bench().read_ints(cached), lengths);
}

ZHGPT_ON_EVERY_DEVICE(Decode);

}  // namespace
}  // namespace zhgpt::test
