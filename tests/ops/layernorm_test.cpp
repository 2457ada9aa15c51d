// LayerNormForward, ResidualLayerNormForward, LayerNormBackward.
#include "support/device.h"
#include "support/fill.h"
#include "support/reference_ops.h"

namespace zhgpt::test {
namespace {

struct Case {
  Index N, C;
};
const Case kCases[] = {{1, 1},  {3, 20},  {5, 7},   {70, 33}, {33, 131}, {70, 40},
                       {1, 96}, {2, 264}, {3, 520}, {1, 776}, {2, 1024}, {2, 1032}};

class LayerNorm : public OnDevice {
 protected:
  void expect_equal(const Tensor& out, const Tensor& mean, const Tensor& rstd,
                    const reference::Normalised<double>& want) {
    EXPECT_TRUE(close(bench().read(out), want.out, forward(10), out.shape_text()));
    EXPECT_TRUE(close(bench().read(mean), want.mean, forward()));
    EXPECT_TRUE(close(bench().read(rstd), want.rstd, forward()));
  }
};

TEST_P(LayerNorm, ForwardNormalisesEveryRow) {
  for (const auto [N, C] : kCases) {
    const auto inp = random_reals(N * C, 1, 2, 0.5), weight = random_reals(C, 2), bias = random_reals(C, 3);
    const Tensor out = bench().unset({N, C}), mean = bench().unset_exact({N}),
                 rstd = bench().unset_exact({N});
    bench().run(LayerNormForward{out, mean, rstd, bench().reals(inp, {N, C}), bench().exacts(weight, {C}),
                                 bench().exacts(bias, {C})});
    expect_equal(out, mean, rstd, reference::layernorm(inp, weight, bias, N, C));
  }
}

TEST_P(LayerNorm, ALargeMeanDoesNotDrownTheVariance) {
  if (GetParam().dtype == DType::bf16)
    GTEST_SKIP() << "bf16 has 8 bits: it cannot hold small differences at 1000";
  const Index N = 4, C = 100;
  auto inp = random_reals(N * C, 1);
  for (double& x : inp) x = static_cast<float>(x + 1000);
  const auto weight = random_reals(C, 2), bias = random_reals(C, 3);
  const Tensor out = bench().unset({N, C}), mean = bench().unset_exact({N}), rstd = bench().unset_exact({N});
  bench().run(LayerNormForward{out, mean, rstd, bench().reals(inp, {N, C}), bench().exacts(weight, {C}),
                               bench().exacts(bias, {C})});
  const auto want = reference::layernorm(inp, weight, bias, N, C);
  EXPECT_TRUE(close(bench().read(rstd), want.rstd, {exact() ? 1e-12 : 1e-4}));
}

TEST_P(LayerNorm, ResidualAddsTheBranchWithItsMask) {
  const StepState state{.step = 5, .seed = 42};
  for (const auto [N, C] : kCases) {
    for (const float p : {0.f, 0.3f}) {
      const auto inp = random_reals(N * C, 1), branch = random_reals(N * C, 4);
      const auto weight = random_reals(C, 2), bias = random_reals(C, 3);
      const Dropout dropout{p, 7, 1, 2, bench().state(state)};
      const Tensor out = bench().unset({N, C}), residual = bench().unset({N, C});
      const Tensor mean = bench().unset_exact({N}), rstd = bench().unset_exact({N});
      bench().run(ResidualLayerNormForward{out, residual, mean, rstd, bench().reals(inp, {N, C}),
                                           bench().reals(branch, {N, C}), bench().exacts(weight, {C}),
                                           bench().exacts(bias, {C}), dropout});
      auto sum = reference::dropout_mask(N * C, dropout, state);
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = inp[i] + sum[i] * branch[i];
      EXPECT_TRUE(close(bench().read(residual), sum, forward(), residual.shape_text()));
      const auto want = reference::layernorm(sum, weight, bias, N, C);
      if (C > 1) expect_equal(out, mean, rstd, want);
    }
  }
}

TEST_P(LayerNorm, BackwardAddsTheDerivatives) {
  for (const auto [N, C] : kCases) {
    const auto inp = random_reals(N * C, 1, 2), weight = random_reals(C, 2), bias = random_reals(C, 3);
    const auto dout = random_reals(N * C, 4), before = random_reals(N * C, 5), other = random_reals(C, 6);
    const auto saved = reference::layernorm(inp, weight, bias, N, C);
    const Tensor dinp = bench().reals(before, {N, C});
    const Tensor dweight = bench().exacts(other, {C}), dbias = bench().exacts(other, {C});
    bench().run(LayerNormBackward{dinp, dweight, dbias, bench().reals(dout, {N, C}),
                                  bench().reals(inp, {N, C}), bench().exacts(saved.mean, {N}),
                                  bench().exacts(saved.rstd, {N}), bench().exacts(weight, {C})});
    const auto plus = [](Values<double> a, const Values<double>& b) {
      for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
      return a;
    };
    const auto x = to_complex(inp), w = to_complex(weight), b = to_complex(bias);
    const Index n_places = std::min<Index>(N * C, 200);
    Values<Index> places;
    for (Index i = 0; i < n_places; ++i) places.push_back(N * C - 1 - i);
    const auto want =
        gradient([&](const auto& v) { return reference::layernorm(v, w, b, N, C).out; }, inp, dout, places);
    const auto got = bench().read(dinp);
    Values<double> got_places, want_places;
    for (std::size_t i = 0; i < places.size(); ++i) {
      got_places.push_back(at(got, places[i]));
      want_places.push_back(want[i] + at(before, places[i]));
    }
    EXPECT_TRUE(close(got_places, want_places, backward(10), dinp.shape_text()));
    for (double value : got) ASSERT_TRUE(std::isfinite(value));
    const auto want_dw =
        gradient([&](const auto& v) { return reference::layernorm(x, v, b, N, C).out; }, weight, dout);
    const auto want_db =
        gradient([&](const auto& v) { return reference::layernorm(x, w, v, N, C).out; }, bias, dout);
    EXPECT_TRUE(close(bench().read(dweight), plus(other, want_dw), backward(10)));
    EXPECT_TRUE(close(bench().read(dbias), plus(other, want_db), backward(10)));
  }
}

TEST_P(LayerNorm, TensorsNeedNotBeAligned) {
  const Index N = 3, C = 64;
  const auto inp = random_reals(N * C + 1, 1), weight = random_reals(C, 2), bias = random_reals(C, 3);
  const Tensor padded = bench().reals(inp, {N * C + 1}), out = bench().unset({N, C});
  const Tensor mean = bench().unset_exact({N}), rstd = bench().unset_exact({N});
  const Tensor behind_one(static_cast<char*>(padded.data) + dtype_bytes(padded.dtype), padded.dtype, {N, C});
  bench().run(
      LayerNormForward{out, mean, rstd, behind_one, bench().exacts(weight, {C}), bench().exacts(bias, {C})});
  const Values<double> rows(inp.begin() + 1, inp.end());
  expect_equal(out, mean, rstd, reference::layernorm(rows, weight, bias, N, C));
}

TEST_P(LayerNorm, BackwardGivesTheSameBitsAgain) {
  const Index N = 300, C = 40;
  std::vector<std::vector<char>> first;
  for (int repeat = 0; repeat < 2; ++repeat) {
    const Tensor dinp = bench().reals(random_reals(N * C, 5), {N, C});
    const Tensor dweight = bench().exacts(random_reals(C, 6), {C}),
                 dbias = bench().exacts(random_reals(C, 7), {C});
    bench().run(LayerNormBackward{dinp, dweight, dbias, bench().reals(random_reals(N * C, 4), {N, C}),
                                  bench().reals(random_reals(N * C, 1), {N, C}),
                                  bench().filled_exact(0.1, {N}), bench().filled_exact(1.5, {N}),
                                  bench().exacts(random_reals(C, 2), {C})});
    const std::vector bits = {bench().bits(dinp), bench().bits(dweight), bench().bits(dbias)};
    if (repeat == 0) first = bits;
    EXPECT_EQ(bits, first);
  }
}

ZHGPT_ON_EVERY_DEVICE(LayerNorm);

}  // namespace
}  // namespace zhgpt::test
