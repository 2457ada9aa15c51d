// LinearDecode against the plain product, and that a row does not depend on its neighbours.
#include "support/device.h"
#include "support/fill.h"
#include "support/reference_ops.h"

namespace zhgpt::test {
namespace {

struct Case {
  Index N, C, OC;
};
// Rows that fill a pass of 1, 4 or 8 and not, and two passes; depths that packs divide and not, of less and
// more than what is on its way at a time; channels that several warps share, two, four and eight of them.
const Case kCases[] = {{1, 1, 1},   {1, 21, 13},  {1, 64, 37},   {1, 1536, 5}, {2, 512, 66},  {3, 33, 65},
                       {4, 96, 64}, {5, 1030, 3}, {8, 1100, 17}, {9, 200, 30}, {13, 264, 41}, {17, 40, 20}};

class LinearDecodeTest : public OnDevice {
 protected:
  Values<double> inp_of(const Case& c) { return random_reals(c.N * c.C, 1); }
  Values<double> weight_of(const Case& c) { return random_reals(c.OC * c.C, 2); }
  Tolerance bound(const Case& c) { return forward(std::sqrt(static_cast<double>(c.C))); }
};

TEST_P(LinearDecodeTest, IsProductPlusBiasThenGelu) {
  for (const Case& c : kCases) {
    const auto bias = random_reals(c.OC, 3);
    for (const bool with_bias : {true, false}) {
      for (const bool gelu : {true, false}) {
        const Tensor out = bench().unset({c.N, c.OC});
        bench().run(LinearDecode{out, bench().reals(inp_of(c), {c.N, c.C}),
                                 bench().reals(weight_of(c), {c.OC, c.C}),
                                 with_bias ? bench().reals(bias, {c.OC}) : Tensor{}, gelu});
        auto want =
            reference::linear(inp_of(c), weight_of(c), with_bias ? bias : Values<double>{}, c.N, c.C, c.OC);
        if (gelu) want = reference::gelu(want);
        EXPECT_TRUE(close(bench().read(out), want, bound(c), out.shape_text()));
      }
    }
  }
}

// bf16 in, f32 out: nothing is rounded on the way.
TEST_P(LinearDecodeTest, TheResultMayBeExact) {
  for (const Case& c : kCases) {
    const Tensor out = bench().unset_exact({c.N, c.OC});
    bench().run(LinearDecode{
        out, bench().reals(inp_of(c), {c.N, c.C}), bench().reals(weight_of(c), {c.OC, c.C}), {}, false});
    const auto want = reference::linear(inp_of(c), weight_of(c), {}, c.N, c.C, c.OC);
    const Tolerance bound{tolerance(1e-12, 1e-5, 1e-5), std::sqrt(static_cast<double>(c.C))};
    EXPECT_TRUE(close(bench().read(out), want, bound, out.shape_text()));
  }
}

TEST_P(LinearDecodeTest, ARowHasTheSameBitsAmongOthers) {
  constexpr Index kMost = 11;
  for (const auto& [C, OC] : {std::pair<Index, Index>{64, 37}, {33, 20}, {1100, 17}, {768, 9}}) {
    const Tensor inp = bench().reals(random_reals(kMost * C, 1), {kMost, C}),
                 weight = bench().reals(random_reals(OC * C, 2), {OC, C}),
                 bias = bench().reals(random_reals(OC, 3), {OC});
    std::vector<char> alone;
    for (Index n = 0; n < kMost; ++n) {
      const Tensor out = bench().unset_exact({1, OC});
      bench().run(LinearDecode{out, inp.rows(n, 1), weight, bias, true});
      const auto bits = bench().bits(out);
      alone.insert(alone.end(), bits.begin(), bits.end());
    }
    for (Index N = 2; N <= kMost; ++N) {
      const Tensor out = bench().unset_exact({N, OC});
      bench().run(LinearDecode{out, inp.rows(0, N), weight, bias, true});
      const auto bits = bench().bits(out);
      EXPECT_TRUE(std::equal(bits.begin(), bits.end(), alone.begin())) << N << " rows of " << C;
    }
  }
}

TEST_P(LinearDecodeTest, OperandsThatDoNotFitAreRefused) {
  const Tensor inp = bench().unset({2, 8}), weight = bench().unset({3, 8}), out = bench().unset({2, 3});
  EXPECT_THROW(bench().run(LinearDecode{out, inp, bench().unset({3, 7}), {}, false}), ConfigError);
  EXPECT_THROW(bench().run(LinearDecode{inp.rows(0, 2), inp, weight, {}, false}), ConfigError);
  EXPECT_THROW(bench().run(LinearDecode{bench().ints({0, 0, 0, 0, 0, 0}, {2, 3}), inp, weight, {}, false}),
               ConfigError);
}

ZHGPT_ON_EVERY_DEVICE(LinearDecodeTest);

}  // namespace
}  // namespace zhgpt::test
