// AttentionForward, AttentionBackward: against the plain softmax, its derivative, and the meaning of
// "causal".
#include "support/device.h"
#include "support/fill.h"
#include "support/reference_ops.h"

namespace zhgpt::test {
namespace {

struct Case {
  Index B, T, NH, HS;
};
// Small and odd; head sizes that fill a tile and such that do not, multiples of 8 and not; lengths around the
// blocks of 16 to 128 queries.
const Case kCases[] = {{1, 1, 1, 1},    {3, 7, 5, 4},    {2, 64, 1, 16},  {1, 65, 2, 32},  {1, 130, 1, 100},
                       {1, 200, 2, 64}, {1, 5, 2, 7},    {2, 33, 1, 24},  {1, 127, 1, 33}, {1, 96, 1, 96},
                       {1, 70, 1, 128}, {1, 129, 1, 40}, {1, 63, 1, 112}, {1, 37, 1, 160}};

class Attention : public OnDevice {
 protected:
  struct Result {
    Tensor out, lse;
  };
  Result run_forward(const Values<double>& qkv, const Case& c) {
    Result r{bench().unset({c.B, c.T, c.NH, c.HS}), bench().unset_exact({c.B, c.NH, c.T})};
    bench().run(AttentionForward{r.out, r.lse, bench().reals(qkv, {c.B, c.T, 3, c.NH, c.HS})});
    return r;
  }
};

TEST_P(Attention, ForwardIsCausalSoftmax) {
  for (const Case& c : kCases) {
    const auto qkv = random_reals(c.B * c.T * 3 * c.NH * c.HS, 1, 2);
    const Result got = run_forward(qkv, c);
    const auto want = reference::attention(qkv, c.B, c.T, c.NH, c.HS);
    EXPECT_TRUE(close(bench().read(got.out), want.out, forward(2), got.out.shape_text()));
    EXPECT_TRUE(close(bench().read(got.lse), want.lse, forward(2), got.lse.shape_text()));
  }
}

TEST_P(Attention, BackwardIsTheDerivative) {
  for (const Case& c : kCases) {
    const Index count = c.B * c.T * 3 * c.NH * c.HS, n_out = count / 3;
    const auto qkv = random_reals(count, 1), dout = random_reals(n_out, 2);
    const auto saved = reference::attention(qkv, c.B, c.T, c.NH, c.HS);
    const Tensor dqkv = bench().unset({c.B, c.T, 3, c.NH, c.HS});
    bench().run(AttentionBackward{
        dqkv, bench().reals(dout, {c.B, c.T, c.NH, c.HS}), bench().reals(saved.out, {c.B, c.T, c.NH, c.HS}),
        bench().exacts(saved.lse, {c.B, c.NH, c.T}), bench().reals(qkv, {c.B, c.T, 3, c.NH, c.HS})});
    Values<Index> places;
    const Index step = count <= 1300 ? 1 : count / 12 + 1;
    for (Index i = 0; i < count; i += step) places.push_back(i);
    const auto want = gradient(
        [&](const auto& x) { return reference::attention(x, c.B, c.T, c.NH, c.HS).out; }, qkv, dout, places);
    const auto all = bench().read(dqkv);
    Values<double> got;
    for (Index i : places) got.push_back(at(all, i));
    EXPECT_TRUE(close(got, want, backward(2), dqkv.shape_text()));
    for (double value : all) ASSERT_TRUE(std::isfinite(value));
  }
}

TEST_P(Attention, TheFutureHasNoInfluence) {
  const Case c{1, 100, 2, 8};
  auto qkv = random_reals(c.T * 3 * c.NH * c.HS, 1);
  const auto before = bench().read(run_forward(qkv, c).out);
  const Index changed = 70, row = c.NH * c.HS;
  for (Index i = changed * 3 * row; i < static_cast<Index>(qkv.size()); ++i) at(qkv, i) += 1;
  const auto after = bench().read(run_forward(qkv, c).out);
  for (Index i = 0; i < changed * row; ++i) ASSERT_EQ(at(before, i), at(after, i)) << i;
  EXPECT_NE(before, after);
}

TEST_P(Attention, LargeScoresStayFinite) {
  const Case c{1, 70, 1, 16};
  const auto qkv = random_reals(c.T * 3 * c.HS, 1, 100);
  const auto want = reference::attention(qkv, c.B, c.T, c.NH, c.HS);
  const Result got = run_forward(qkv, c);
  EXPECT_TRUE(close(bench().read(got.lse), want.lse, forward(1000)));
  for (double value : bench().read(got.out)) ASSERT_TRUE(std::isfinite(value));
}

ZHGPT_ON_EVERY_DEVICE(Attention);

}  // namespace
}  // namespace zhgpt::test
