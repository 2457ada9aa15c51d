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
                       {1, 70, 1, 128}, {1, 129, 1, 40}, {1, 63, 1, 112}, {1, 37, 1, 160}, {1, 256, 1, 72}};

// All of dqkv from the formulas of docs/numerics.md, row by row; the test holds it against complex steps.
Values<double> derivative(const Values<double>& qkv, const Values<double>& dout,
                          const reference::Attended<double>& saved, const Case& c) {
  const auto place = [&](Index b, Index t, Index which, Index h) {
    return (((b * c.T + t) * 3 + which) * c.NH + h) * c.HS;
  };
  Values<double> dqkv = reference::zeros<double>(static_cast<Index>(qkv.size()));
  const double scale = 1 / std::sqrt(static_cast<double>(c.HS));
  for (Index b = 0; b < c.B; ++b)
    for (Index h = 0; h < c.NH; ++h)
      for (Index t = 0; t < c.T; ++t) {
        const Index q = place(b, t, 0, h), o = ((b * c.T + t) * c.NH + h) * c.HS;
        double mean_dp = 0;
        for (Index i = 0; i < c.HS; ++i) mean_dp += at(dout, o + i) * at(saved.out, o + i);
        for (Index s = 0; s <= t; ++s) {
          const Index k = place(b, s, 1, h), v = place(b, s, 2, h);
          double score = 0, dp = 0;
          for (Index i = 0; i < c.HS; ++i) {
            score += scale * at(qkv, q + i) * at(qkv, k + i);
            dp += at(dout, o + i) * at(qkv, v + i);
          }
          const double p = std::exp(score - at(saved.lse, (b * c.NH + h) * c.T + t));
          for (Index i = 0; i < c.HS; ++i) {
            at(dqkv, v + i) += p * at(dout, o + i);
            at(dqkv, q + i) += scale * p * (dp - mean_dp) * at(qkv, k + i);
            at(dqkv, k + i) += scale * p * (dp - mean_dp) * at(qkv, q + i);
          }
        }
      }
  return dqkv;
}

class Attention : public OnDevice {
 protected:
  static bool is_cudnn() { return GetParam().options.cudnn_attention; }
  static bool takes(const Case& c) { return !is_cudnn() || (c.HS % 8 == 0 && c.HS <= 128); }

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
    if (!takes(c)) continue;
    const auto qkv = random_reals(c.B * c.T * 3 * c.NH * c.HS, 1, 2);
    const Result got = run_forward(qkv, c);
    const auto want = reference::attention(qkv, c.B, c.T, c.NH, c.HS);
    EXPECT_TRUE(close(bench().read(got.out), want.out, forward(2), got.out.shape_text()));
    EXPECT_TRUE(close(bench().read(got.lse), want.lse, forward(2), got.lse.shape_text()));
  }
}

TEST_P(Attention, BackwardIsTheDerivative) {
  for (const Case& c : kCases) {
    if (!takes(c)) continue;
    const Index count = c.B * c.T * 3 * c.NH * c.HS, n_out = count / 3;
    const auto qkv = random_reals(count, 1), dout = random_reals(n_out, 2);
    const auto saved = reference::attention(qkv, c.B, c.T, c.NH, c.HS);
    const Tensor dqkv = bench().unset({c.B, c.T, 3, c.NH, c.HS});
    bench().run(AttentionBackward{
        dqkv, bench().reals(dout, {c.B, c.T, c.NH, c.HS}), bench().reals(saved.out, {c.B, c.T, c.NH, c.HS}),
        bench().exacts(saved.lse, {c.B, c.NH, c.T}), bench().reals(qkv, {c.B, c.T, 3, c.NH, c.HS})});
    const auto want = derivative(qkv, dout, saved, c);
    EXPECT_TRUE(close(bench().read(dqkv), want, backward(2), dqkv.shape_text()));
    Values<Index> places;
    Values<double> at_places;
    const Index step = count <= 1300 ? 1 : count / 3 + 1;
    for (Index i = 0; i < count; i += step) {
      places.push_back(i);
      at_places.push_back(at(want, i));
    }
    const auto by_steps = gradient(
        [&](const auto& x) { return reference::attention(x, c.B, c.T, c.NH, c.HS).out; }, qkv, dout, places);
    EXPECT_TRUE(close(at_places, by_steps, {1e-12}));
  }
}

// Views that begin where no 128-bit access may.
TEST_P(Attention, TakesAnyAddress) {
  if (is_cudnn()) GTEST_SKIP() << "cuDNN wants multiples of 16 bytes";
  const auto moved = [&](const Tensor& room, std::initializer_list<Index> shape) {
    return Tensor(static_cast<char*>(room.data) + dtype_bytes(room.dtype), room.dtype, shape);
  };
  const auto one_more = [](Values<double> values) {
    values.insert(values.begin(), kNaN);
    return values;
  };
  const Case c{1, 70, 2, 32};
  const Index count = c.T * 3 * c.NH * c.HS, n_out = count / 3, rows = c.NH * c.T;
  const auto qkv = random_reals(count, 1), dout = random_reals(n_out, 2);
  const auto saved = reference::attention(qkv, c.B, c.T, c.NH, c.HS);
  const Tensor in = moved(bench().reals(one_more(qkv), {count + 1}), {c.B, c.T, 3, c.NH, c.HS});
  const Tensor out = moved(bench().unset({n_out + 1}), {c.B, c.T, c.NH, c.HS});
  const Tensor lse = moved(bench().unset_exact({rows + 1}), {c.B, c.NH, c.T});
  bench().run(AttentionForward{out, lse, in});
  EXPECT_TRUE(close(bench().read(out), saved.out, forward(2)));
  EXPECT_TRUE(close(bench().read(lse), saved.lse, forward(2)));
  const Tensor dqkv = moved(bench().unset({count + 1}), {c.B, c.T, 3, c.NH, c.HS});
  const Tensor dout_moved = moved(bench().reals(one_more(dout), {n_out + 1}), {c.B, c.T, c.NH, c.HS});
  bench().run(AttentionBackward{dqkv, dout_moved, out, lse, in});
  EXPECT_TRUE(close(bench().read(dqkv), derivative(qkv, dout, saved, c), backward(2)));
}

// Bits, from run to run and from the batch to a row of it alone.
TEST_P(Attention, EveryRunGivesTheSameBits) {
  const Case c{2, 150, 1, 64}, alone{1, c.T, c.NH, c.HS};
  const Index count = c.B * c.T * 3 * c.NH * c.HS, n_out = count / 3;
  const auto qkv = random_reals(count, 1), dout = random_reals(n_out, 2);
  const auto run = [&](const Case& of, Index first) {  // rows of the batch from `first` on
    const auto part = [&](const Values<double>& all) {
      const Index of_row = static_cast<Index>(all.size()) / c.B;
      return Values<double>(all.begin() + first * of_row, all.begin() + (first + of.B) * of_row);
    };
    const Tensor dqkv = bench().unset({of.B, of.T, 3, of.NH, of.HS});
    const Tensor in = bench().reals(part(qkv), {of.B, of.T, 3, of.NH, of.HS});
    const Result forward = run_forward(part(qkv), of);
    bench().run(AttentionBackward{dqkv, bench().reals(part(dout), {of.B, of.T, of.NH, of.HS}), forward.out,
                                  forward.lse, in});
    return bench().read(dqkv);
  };
  const auto once = run(c, 0);
  EXPECT_EQ(once, run(c, 0));
  if (is_cudnn()) return;  // another batch may be another plan
  EXPECT_EQ(Values<double>(once.begin() + count / 2, once.end()), run(alone, 1));
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
INSTANTIATE_TEST_SUITE_P(Cudnn, Attention,
                         ::testing::Values(Device{"cuda", DType::bf16, {.cudnn_attention = true}}),
                         device_name);

}  // namespace
}  // namespace zhgpt::test
