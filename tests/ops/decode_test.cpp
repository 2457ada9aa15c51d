// EmbeddingDecode, CacheKeysValues; PackWeight and PackedLinear on the CPU.
#include <gtest/gtest.h>

#include <array>
#include <span>

#include "support/device.h"
#include "support/fill.h"

namespace zhgpt::test {
namespace {

class Decode : public OnDevice {};

TEST_P(Decode, EmbeddingTakesEachRowsPosition) {
  for (const auto& [B, C, V, S] : {std::array<std::int64_t, 4>{1, 1, 1, 1}, {5, 20, 13, 9}, {37, 33, 4, 70}, {3, 520, 9, 4}}) {
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
  for (const auto& [NH, S, HS, T] : {std::array<std::int64_t, 4>{1, 1, 1, 1}, {3, 9, 7, 5}, {2, 70, 64, 70}, {4, 33, 16, 1}}) {
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

ZHGPT_ON_EVERY_DEVICE(Decode);

struct Size {
  std::int64_t N, C, OC;
};
// Depths of one chunk, of more and of less; channels of whole groups and not; rows of whole tiles and not.
const Size kSizes[] = {{1, 1, 1}, {1, 128, 384}, {3, 193, 65}, {4, 400, 64}, {7, 21, 63}, {13, 192, 130}};

class Packed : public ::testing::Test {
 protected:
  Tensor packed(const Size& s, WeightType type, Tensor weight, bool gelu) {
    const Buffer room = bench_.backend().allocate(PackedWeight::bytes(type, s.OC, s.C), "packed weight");
    const PackedWeight to{room.data(), type, s.OC, s.C};
    const Tensor out = bench_.unset({s.N, s.OC});
    bench_.run(PackWeight{to, weight});
    bench_.run(PackedLinear{out, inp(s), to, bias(s), gelu});
    return out;
  }
  Tensor plain(const Size& s, Tensor weight, bool gelu) {
    const Tensor out = bench_.unset({s.N, s.OC});
    bench_.run(LinearForward{out, gelu ? bench_.unset({s.N, s.OC}) : Tensor(), inp(s), weight, bias(s)});
    return out;
  }
  Tensor inp(const Size& s) { return bench_.reals(random_reals(s.N * s.C, 1), {s.N, s.C}); }
  Tensor bias(const Size& s) { return bench_.reals(random_reals(s.OC, 2), {s.OC}); }

  Workbench bench_{{"cpu", DType::f32}, 3};
};

TEST_F(Packed, InF32TheBitsAreThoseOfLinearForward) {
  for (const Size& s : kSizes)
    for (const bool gelu : {false, true}) {
      auto values = random_reals(s.OC * s.C, 3);
      for (double& x : values) x += 1e-4 * x * x;  // products that do not fit into a float
      const Tensor weight = bench_.reals(values, {s.OC, s.C});
      EXPECT_EQ(bench_.bits(packed(s, WeightType::f32, weight, gelu)), bench_.bits(plain(s, weight, gelu))) << s.C;
    }
  bench_.expect_guards_intact();
}

// Of weights that bf16 holds, the bits again; int8 is that of its own rounding, to the order of the sum.
TEST_F(Packed, RoundedWeightsAreThePlainProductOfWhatTheyWereRoundedTo) {
  for (const Size& s : kSizes) {
    const auto values = random_reals(s.OC * s.C, 3);
    const Tensor weight = bench_.reals(values, {s.OC, s.C});
    EXPECT_EQ(bench_.bits(packed(s, WeightType::bf16, weight, false)), bench_.bits(plain(s, weight, false)));

    auto rounded = values;
    for (std::int64_t o = 0; o < s.OC; ++o) {
      const auto row = std::span(rounded).subspan(static_cast<std::size_t>(o * s.C), static_cast<std::size_t>(s.C));
      float most = 0;
      for (const double x : row) most = std::max(most, std::abs(static_cast<float>(x)));
      const float factor = most / 127;
      for (double& x : row) x = static_cast<double>(factor) * std::nearbyint(static_cast<double>(static_cast<float>(x) / factor));
    }
    EXPECT_TRUE(close(bench_.read(packed(s, WeightType::int8, weight, false)),
                      bench_.read(plain(s, bench_.reals(rounded, {s.OC, s.C}), false)), {1e-5, std::sqrt(static_cast<double>(s.C))},
                      "int8"));
  }
}

}  // namespace
}  // namespace zhgpt::test
