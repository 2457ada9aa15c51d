// EmbeddingForward, EmbeddingBackward, DropoutBackward: tables, masks, and rows that many positions share.
#include "support/device.h"
#include "support/fill.h"
#include "support/reference_ops.h"

namespace zhgpt::test {
namespace {

struct Case {
  Index B, T, C, V, positions;
};
const Case kCases[] = {{1, 1, 1, 1, 1},      {3, 7, 20, 13, 9}, {2, 5, 3, 4, 5},
                       {5, 30, 70, 11, 32},  {1, 65, 8, 2, 65}, {2, 65, 33, 97, 65},
                       {1, 127, 96, 7, 127}, {3, 1, 7, 300, 2}, {1, 5, 520, 3, 5}};

class Embedding : public OnDevice {
 protected:
  // dwte and dwpe after EmbeddingBackward, against the transpose of the forward, which is linear.
  void expect_backward(const Values<std::int32_t>& ids, Index B, Index T, Index C, Index V, Index positions,
                       float p) {
    const auto dout = random_reals(B * T * C, 4);
    const Dropout dropout{p, 3, 2, 4, bench().state(state_)};
    auto want_te = random_reals(V * C, 5), want_pe = random_reals(positions * C, 6);
    const Tensor dwte = bench().exacts(want_te, {V, C}), dwpe = bench().exacts(want_pe, {positions, C});
    bench().run(
        EmbeddingBackward{dwte, dwpe, bench().reals(dout, {B, T, C}), bench().ints(ids, {B, T}), dropout});
    const auto mask = reference::dropout_mask(B * T * C, dropout, state_);
    for (Index i = 0; i < B * T * C; ++i) {
      const Index n = i / C, c = i % C;
      at(want_te, at(ids, n) * C + c) += at(dout, i) * at(mask, i);
      at(want_pe, n % T * C + c) += at(dout, i) * at(mask, i);
    }
    EXPECT_TRUE(close(bench().read(dwte), want_te, backward(), dwte.shape_text()));
    EXPECT_TRUE(close(bench().read(dwpe), want_pe, backward(), dwpe.shape_text()));
  }

  const StepState state_{.step = (std::int64_t{1} << 33) + 3, .seed = 99};
};

TEST_P(Embedding, ForwardAddsTokenAndPosition) {
  for (const auto [B, T, C, V, positions] : kCases) {
    const auto ids = random_ids(B * T, 1, V);
    const auto wte = random_reals(V * C, 2), wpe = random_reals(positions * C, 3);
    for (const float p : {0.f, 0.3f}) {
      const Dropout dropout{p, 3, 2, 4, bench().state(state_)};
      const Tensor out = bench().unset({B, T, C});
      bench().run(EmbeddingForward{out, bench().ints(ids, {B, T}), bench().reals(wte, {V, C}),
                                   bench().reals(wpe, {positions, C}), dropout});
      const auto mask = reference::dropout_mask(B * T * C, dropout, state_);
      EXPECT_TRUE(close(bench().read(out), reference::embedding(ids, wte, wpe, mask, T, C), forward(),
                        out.shape_text()));
    }
  }
}

TEST_P(Embedding, BackwardAddsTheDerivatives) {
  for (const auto [B, T, C, V, positions] : kCases) {
    for (const float p : {0.f, 0.3f}) expect_backward(random_ids(B * T, 1, V), B, T, C, V, positions, p);
  }
}

TEST_P(Embedding, BackwardAddsFrequentAndRareIds) {
  const Index V = 1009, B = 3, T = 211, C = 24;
  auto ids = random_ids(B * T, 1, V);
  for (Index i = 0; i < B * T; ++i) {
    if (i % 3 == 0) at(ids, i) = 5;  // a comma, say
    if (i % 7 == 0) at(ids, i) = V - 1;
  }
  expect_backward(ids, B, T, C, V, T, 0.3f);
}

// Many tiles of a sort by two or three digits, and a run of more than a thousand positions.
TEST_P(Embedding, BackwardAddsManyPositions) {
  const Index B = 20, T = 2003;
  for (const Index V : {Index{1}, Index{257}, Index{70001}}) {
    auto ids = random_ids(B * T, 1, V);
    for (Index i = 0; i < B * T; i += 4) at(ids, i) = 0;
    expect_backward(ids, B, T, 1, V, T, 0);
  }
}

TEST_P(Embedding, BackwardGivesTheSameBitsAgain) {
  const Index B = 4, T = 100, C = 16, V = 3;
  std::vector<char> first;
  for (int repeat = 0; repeat < 2; ++repeat) {
    const Tensor dwte = bench().exacts(random_reals(V * C, 5), {V, C}),
                 dwpe = bench().filled_exact(0, {T, C});
    bench().run(EmbeddingBackward{dwte,
                                  dwpe,
                                  bench().reals(random_reals(B * T * C, 4), {B, T, C}),
                                  bench().ints(random_ids(B * T, 1, V), {B, T}),
                                  {}});
    const auto bits = bench().bits(dwte);
    if (repeat == 0) first = bits;
    EXPECT_EQ(bits, first);
  }
}

TEST_P(Embedding, TensorsNeedNotBeAligned) {
  const Index B = 2, T = 3, C = 16, V = 5;
  const auto ids = random_ids(B * T, 1, V);
  const auto wte = random_reals(V * C + 1, 2), wpe = random_reals(T * C, 3);
  const auto behind_one = [](const Tensor& tensor, std::initializer_list<Index> shape) {
    return Tensor(static_cast<char*>(tensor.data) + dtype_bytes(tensor.dtype), tensor.dtype, shape);
  };
  const Dropout dropout{0.3f, 3, 2, 4, bench().state(state_)};
  const Tensor whole = bench().unset({B * T * C + 1}), out = behind_one(whole, {B, T, C});
  bench().run(EmbeddingForward{out, bench().ints(ids, {B, T}),
                               behind_one(bench().reals(wte, {V * C + 1}), {V, C}),
                               bench().reals(wpe, {T, C}), dropout});
  const auto mask = reference::dropout_mask(B * T * C, dropout, state_);
  const Values<double> table(wte.begin() + 1, wte.end());
  EXPECT_TRUE(close(bench().read(out), reference::embedding(ids, table, wpe, mask, T, C), forward()));
  EXPECT_TRUE(std::isnan(bench().read(whole)[0]));

  const Tensor dinp = behind_one(bench().unset({C + 1}), {1, C});
  bench().run(DropoutBackward{dinp, out.rows(0, 1).reshaped({T, C}).rows(0, 1), dropout});
  auto want = bench().read(out.rows(0, 1).reshaped({T, C}).rows(0, 1));
  for (std::size_t i = 0; i < want.size(); ++i) want[i] *= mask[i];
  EXPECT_TRUE(close(bench().read(dinp), want, forward()));
}

TEST_P(Embedding, DropoutBackwardUsesTheForwardsMask) {
  for (const auto& [N, C] : {std::pair<Index, Index>{1, 1}, {3, 7}, {130, 65}}) {
    const auto dout = random_reals(N * C, 1);
    for (const float p : {0.f, 0.3f}) {
      const Dropout dropout{p, 12, 0, 1, bench().state(state_)};
      const Tensor dinp = bench().unset({N, C});
      bench().run(DropoutBackward{dinp, bench().reals(dout, {N, C}), dropout});
      auto want = reference::dropout_mask(N * C, dropout, state_);
      for (std::size_t i = 0; i < want.size(); ++i) want[i] *= dout[i];
      EXPECT_TRUE(close(bench().read(dinp), want, backward()));
    }
  }
}

TEST_P(Embedding, DropoutKeepsTheMeanAndChangesFromStepToStep) {
  const Index N = 200, C = 100;
  const Tensor ones = bench().filled(1, {N, C});
  Values<double> last;
  for (const std::int64_t step : {0, 1}) {
    const Tensor dinp = bench().unset({N, C});
    bench().run(DropoutBackward{dinp, ones, {0.3f, 1, 0, 1, bench().state({.step = step, .seed = 1})}});
    const auto got = bench().read(dinp);
    double sum = 0;
    for (double value : got) sum += value;
    EXPECT_NEAR(sum / static_cast<double>(N * C), 1, 0.02);  // four standard deviations are 0.0185
    EXPECT_NE(got, last);
    last = got;
  }
}

TEST_P(Embedding, AnIdBeyondTheTableIsRefused) {
  if (std::string(GetParam().backend) != "cpu") GTEST_SKIP() << "ids are in device memory";
  for (const std::int32_t id : {-1, 4}) {
    const EmbeddingForward op{bench().unset({1, 1, 2}),
                              bench().ints({id}, {1, 1}),
                              bench().filled(0, {4, 2}),
                              bench().filled(0, {1, 2}),
                              {}};
    EXPECT_THROW(bench().run(op), ConfigError);
  }
}

ZHGPT_ON_EVERY_DEVICE(Embedding);

}  // namespace
}  // namespace zhgpt::test
