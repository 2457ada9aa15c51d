// LinearForward, LinearBackwardInput, LinearBackwardWeight against the plain product and its derivatives.
#include "support/device.h"
#include "support/fill.h"
#include "support/reference_ops.h"

namespace zhgpt::test {
namespace {

struct Case {
  Index N, C, OC;
};
// One row; odd sizes; sizes that cross the edges of tiles in each direction, multiples of 8 among them.
const Case kCases[] = {{1, 1, 1}, {21, 20, 13}, {97, 33, 400}, {260, 7, 264}, {200, 390, 97}, {800, 9, 40}};

class Linear : public OnDevice {
 protected:
  static Values<double> some_of(const Values<double>& values, const Values<Index>& places) {
    Values<double> picked;
    for (Index i : places) picked.push_back(at(values, i));
    return picked;
  }
  // All places of a small tensor, a few of a large one.
  static Values<Index> places_of(std::size_t count) {
    Values<Index> places;
    const Index n = static_cast<Index>(count), step = n <= 300 ? 1 : n / 7;
    for (Index i = 0; i < n; i += step) places.push_back(i);
    places.push_back(n - 1);
    return places;
  }
};

TEST_P(Linear, ForwardIsProductPlusBias) {
  for (const auto [N, C, OC] : kCases) {
    const auto inp = random_reals(N * C, 1), weight = random_reals(OC * C, 2), bias = random_reals(OC, 3);
    for (const bool with_bias : {true, false}) {
      const Tensor out = bench().unset({N, OC});
      bench().run(LinearForward{out,
                                {},
                                bench().reals(inp, {N, C}),
                                bench().reals(weight, {OC, C}),
                                with_bias ? bench().reals(bias, {OC}) : Tensor{}});
      const auto want = reference::linear(inp, weight, with_bias ? bias : Values<double>{}, N, C, OC);
      EXPECT_TRUE(
          close(bench().read(out), want, forward(std::sqrt(static_cast<double>(C))), out.shape_text()));
    }
  }
}

TEST_P(Linear, ForwardWithGeluSavesWhatGoesIntoIt) {
  for (const auto [N, C, OC] : kCases) {
    const auto inp = random_reals(N * C, 1), weight = random_reals(OC * C, 2), bias = random_reals(OC, 3);
    const Tensor out = bench().unset({N, OC}), pre = bench().unset({N, OC});
    bench().run(LinearForward{out, pre, bench().reals(inp, {N, C}), bench().reals(weight, {OC, C}),
                              bench().reals(bias, {OC})});
    const auto sums = reference::linear(inp, weight, bias, N, C, OC);
    EXPECT_TRUE(close(bench().read(pre), sums, forward(std::sqrt(static_cast<double>(C))), pre.shape_text()));
    EXPECT_TRUE(close(bench().read(out), reference::gelu(sums), forward(std::sqrt(static_cast<double>(C))),
                      out.shape_text()));
  }
}

TEST_P(Linear, InputGradientIsTheDerivative) {
  for (const auto [N, C, OC] : kCases) {
    const auto pre = random_reals(N * C, 1, 3), weight = random_reals(OC * C, 2),
               dout = random_reals(N * OC, 3);
    const auto places = places_of(pre.size());
    for (const bool through_gelu : {false, true}) {
      const Tensor dinp = bench().unset({N, C});
      bench().run(LinearBackwardInput{dinp, bench().reals(dout, {N, OC}), bench().reals(weight, {OC, C}),
                                      through_gelu ? bench().reals(pre, {N, C}) : Tensor{}});
      const auto f = [&](const Values<Complex>& x) {
        return reference::linear(through_gelu ? reference::gelu(x) : x, to_complex(weight), {}, N, C, OC);
      };
      const auto got = bench().read(dinp);
      EXPECT_TRUE(close(some_of(got, places), gradient(f, pre, dout, places),
                        backward(std::sqrt(static_cast<double>(OC)))));
      for (double value : got) ASSERT_TRUE(std::isfinite(value));
    }
  }
}

TEST_P(Linear, WeightGradientAddsTheDerivative) {
  for (const auto [N, C, OC] : kCases) {
    const auto inp = random_reals(N * C, 1), weight = random_reals(OC * C, 2), bias = random_reals(OC, 3);
    const auto dout = random_reals(N * OC, 4), before = random_reals(OC * C, 5),
               bias_before = random_reals(OC, 6);
    const auto places = places_of(weight.size()), bias_places = places_of(bias.size());
    const Tensor dweight = bench().exacts(before, {OC, C}), dbias = bench().exacts(bias_before, {OC});
    const LinearBackwardWeight op{dweight, dbias, bench().reals(dout, {N, OC}), bench().reals(inp, {N, C})};
    bench().run(op);
    auto want = gradient(
        [&](const Values<Complex>& w) {
          return reference::linear(to_complex(inp), w, to_complex(bias), N, C, OC);
        },
        weight, dout, places);
    auto want_bias = gradient(
        [&](const Values<Complex>& b) {
          return reference::linear(to_complex(inp), to_complex(weight), b, N, C, OC);
        },
        bias, dout, bias_places);
    for (std::size_t i = 0; i < want.size(); ++i) want[i] += at(before, places[i]);
    for (std::size_t i = 0; i < want_bias.size(); ++i) want_bias[i] += at(bias_before, bias_places[i]);
    EXPECT_TRUE(
        close(some_of(bench().read(dweight), places), want, backward(std::sqrt(static_cast<double>(N)))));
    EXPECT_TRUE(close(some_of(bench().read(dbias), bias_places), want_bias,
                      backward(std::sqrt(static_cast<double>(N)))));

    LinearBackwardWeight without_bias = op;
    without_bias.dbias = {};
    const auto kept = bench().bits(dbias);
    bench().run(without_bias);
    EXPECT_EQ(bench().bits(dbias), kept);
  }
}

TEST_P(Linear, GeluIsRightFarOut) {
  const Values<double> x = {0, -0.0, 1e-20, -1e-20, 3, -3, 8, -8, 12, -12, 100, -100, 1e4, -1e4};
  const Index n = static_cast<Index>(x.size());
  const Tensor out = bench().unset({n, 1}), pre = bench().unset({n, 1});
  bench().run(LinearForward{out, pre, bench().reals(x, {n, 1}), bench().reals({1}, {1, 1}), {}});
  EXPECT_TRUE(close(bench().read(out), reference::gelu(x), forward()));
  const Tensor dinp = bench().unset({n, 1});
  bench().run(LinearBackwardInput{dinp, bench().filled(1, {n, 1}), bench().reals({1}, {1, 1}),
                                  bench().reals(x, {n, 1})});
  for (std::size_t i = 10; i < x.size(); ++i) EXPECT_EQ(bench().read(dinp)[i], x[i] > 0 ? 1 : 0) << x[i];
}

ZHGPT_ON_EVERY_DEVICE(Linear);

}  // namespace
}  // namespace zhgpt::test
