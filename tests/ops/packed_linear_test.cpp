// PackWeight and PackedLinear: of f32 weights the bits of LinearForward, of rounded ones within half a unit a
// weight. Only the CPU packs.
#include "support/device.h"
#include "support/fill.h"
#include "support/reference_ops.h"

namespace zhgpt::test {
namespace {

struct Case {
  Index N, C, OC;
};
// Fewer rows than go together and more; channels that fill groups of 64 and not; depths beyond one chunk.
const Case kCases[] = {{1, 1, 1}, {1, 128, 384}, {3, 33, 65}, {4, 192, 64}, {9, 200, 130}, {2, 512, 100}};

// Not exact in bf16.
Values<double> weights_of(const Case& c) {
  auto weights = random_reals(c.OC * c.C, 2);
  for (double& x : weights) x = static_cast<double>(static_cast<float>(x * 0.7));
  return weights;
}

class PackedLinearTest : public ::testing::TestWithParam<int> {
 protected:
  Values<double> result(const Case& c, WeightType type, bool with_bias, bool gelu) {
    const Tensor inp = bench_.reals(random_reals(c.N * c.C, 1), {c.N, c.C}),
                 weight = bench_.reals(weights_of(c), {c.OC, c.C}),
                 bias = bench_.reals(random_reals(c.OC, 3), {c.OC});
    const Tensor out = bench_.unset({c.N, c.OC}), expected = bench_.unset({c.N, c.OC}),
                 pre_gelu = bench_.unset({c.N, c.OC});
    const Buffer memory = bench_.backend().allocate(PackedWeight::bytes(type, c.OC, c.C), "test");
    const PackedWeight packed{memory.data(), type, c.OC, c.C};
    bench_.run(PackWeight{packed, weight});
    bench_.run(PackedLinear{out, inp, packed, with_bias ? bias : Tensor(), gelu});
    bench_.run(LinearForward{expected, gelu ? pre_gelu : Tensor(), inp, weight, with_bias ? bias : Tensor()});
    expected_ = bench_.read(expected);
    return bench_.read(out);
  }
  Workbench bench_{{"cpu", DType::f32}, GetParam()};
  Values<double> expected_;
};

TEST_P(PackedLinearTest, HasTheBitsOfLinearForward) {
  for (const Case& c : kCases) {
    for (const bool with_bias : {false, true}) {
      for (const bool gelu : {false, true}) {
        const auto got = result(c, WeightType::f32, with_bias, gelu);
        EXPECT_EQ(got, expected_) << c.N << " " << c.C << " " << c.OC;
      }
    }
  }
}

TEST_P(PackedLinearTest, RoundedWeightsAreWithinHalfAUnit) {
  for (const Case& c : kCases) {
    const auto inp = random_reals(c.N * c.C, 1), weight = weights_of(c);
    const auto bf16 = result(c, WeightType::bf16, true, false),
               int8 = result(c, WeightType::int8, true, false);
    if (c.OC > 1) {  // of one number, int8 loses nothing
      EXPECT_NE(bf16, expected_);
      EXPECT_NE(int8, expected_);
    }
    for (Index n = 0; n < c.N; ++n) {
      for (Index o = 0; o < c.OC; ++o) {
        double most = 0, relative = 0, absolute = 0;
        for (Index i = 0; i < c.C; ++i) most = std::max(most, std::abs(at(weight, o * c.C + i)));
        for (Index i = 0; i < c.C; ++i) {
          relative += std::abs(at(inp, n * c.C + i) * at(weight, o * c.C + i));
          absolute += std::abs(at(inp, n * c.C + i));
        }
        const double sums = 1e-5 * (relative + 1);  // the sums' own rounding
        EXPECT_LE(std::abs(at(bf16, n * c.OC + o) - at(expected_, n * c.OC + o)), relative / 512 + sums);
        EXPECT_LE(std::abs(at(int8, n * c.OC + o) - at(expected_, n * c.OC + o)),
                  absolute * most / 254 + sums);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, PackedLinearTest, ::testing::Values(1, 3));

TEST(PackWeight, RowsOfZerosStayZero) {
  Workbench bench({"cpu", DType::f32}, 1);
  const Buffer memory = bench.backend().allocate(PackedWeight::bytes(WeightType::int8, 2, 3), "test");
  const PackedWeight packed{memory.data(), WeightType::int8, 2, 3};
  bench.run(PackWeight{packed, bench.reals({0, 0, 0, 1, -2, 127}, {2, 3})});
  const Tensor out = bench.unset({1, 2});
  bench.run(PackedLinear{out, bench.reals({1, 1, 1}, {1, 3}), packed, {}, false});
  EXPECT_EQ(bench.read(out), (Values<double>{0, 126}));
}

}  // namespace
}  // namespace zhgpt::test
