// HeadLoss: the losses, their gradients, padding, evaluation, and vocabularies beyond one tile or group.
#include <algorithm>
#include <numeric>

#include "support/device.h"
#include "support/fill.h"
#include "support/reference_ops.h"

namespace zhgpt::test {
namespace {

struct Case {
  Index N, C, V;
};
const Case kCases[] = {{1, 1, 1}, {21, 20, 13}, {70, 5, 600}, {33, 96, 127}, {130, 9, 1030}};

class Head : public OnDevice {};

TEST_P(Head, LossesAndGradients) {
  for (const auto [N, C, V] : kCases) {
    const auto inp = random_reals(N * C, 1, 2), weight = random_reals(V * C, 2),
               before = random_reals(V * C, 3);
    auto targets = random_ids(N, 4, V);
    if (N > 1) targets[0] = -1, at(targets, N / 2) = -100;
    const double scale = 0.25;
    const Tensor losses = bench().unset_exact({N}), dinp = bench().unset({N, C}),
                 dweight = bench().exacts(before, {V, C});
    bench().run(HeadLoss{losses,
                         {},
                         dinp,
                         dweight,
                         bench().reals(inp, {N, C}),
                         bench().reals(weight, {V, C}),
                         bench().ints(targets, {N}),
                         scale});
    EXPECT_TRUE(close(bench().read(losses), reference::head_losses(inp, weight, targets, C, V), forward(4)));

    const Values<double> cotangent(static_cast<std::size_t>(N), scale);
    Values<Index> inp_places, weight_places;
    for (Index i = 0; i < N * C; i += std::max<Index>(1, N * C / 10)) inp_places.push_back(i);
    for (Index i = 0; i < V * C; i += std::max<Index>(1, V * C / 10)) weight_places.push_back(i);
    weight_places.push_back(V * C - 1);
    weight_places.push_back(at(targets, N - 1) * C);
    const auto want_inp =
        gradient([&](const auto& x) { return reference::head_losses(x, to_complex(weight), targets, C, V); },
                 inp, cotangent, inp_places);
    auto want_weight =
        gradient([&](const auto& w) { return reference::head_losses(to_complex(inp), w, targets, C, V); },
                 weight, cotangent, weight_places);
    const auto all_inp = bench().read(dinp), all_weight = bench().read(dweight);
    Values<double> got_inp, got_weight;
    for (Index i : inp_places) got_inp.push_back(at(all_inp, i));
    for (std::size_t i = 0; i < weight_places.size(); ++i) {
      got_weight.push_back(at(all_weight, weight_places[i]));
      want_weight[i] += at(before, weight_places[i]);
    }
    EXPECT_TRUE(close(got_inp, want_inp, backward(), dinp.shape_text()));
    EXPECT_TRUE(close(got_weight, want_weight, backward(), dweight.shape_text()));
    for (double value : all_inp) ASSERT_TRUE(std::isfinite(value));
  }
}

// More rows than one group of logits holds: the gradients must be those of the rows taken in two calls.
TEST_P(Head, GroupsOfRowsAddUp) {
  const Index N = 220, C = 1, V = 40000;
  const auto inp = random_reals(N * C, 1), weight = random_reals(V * C, 2);
  const auto targets = random_ids(N, 3, V);
  const Tensor x = bench().reals(inp, {N, C}), w = bench().reals(weight, {V, C}),
               t = bench().ints(targets, {N});
  const Tensor losses = bench().unset_exact({N}), dinp = bench().unset({N, C}),
               dweight = bench().filled_exact(0, {V, C});
  bench().run(HeadLoss{losses, {}, dinp, dweight, x, w, t, 1});
  const Tensor losses2 = bench().unset_exact({N}), dinp2 = bench().unset({N, C}),
               dweight2 = bench().filled_exact(0, {V, C});
  for (const auto& [begin, count] : {std::pair<Index, Index>{0, 37}, {37, N - 37}}) {
    bench().run(HeadLoss{losses2.rows(begin, count),
                         {},
                         dinp2.rows(begin, count),
                         dweight2,
                         x.rows(begin, count),
                         w,
                         t.rows(begin, count),
                         1});
  }
  EXPECT_TRUE(close(bench().read(losses), bench().read(losses2), forward(10)));
  EXPECT_TRUE(close(bench().read(dinp), bench().read(dinp2), backward()));
  EXPECT_TRUE(close(bench().read(dweight), bench().read(dweight2), backward()));
}

TEST_P(Head, EvaluationGivesTheSameLosses) {
  const Index N = 100, C = 12, V = 77;
  const Tensor inp = bench().reals(random_reals(N * C, 1), {N, C}),
               weight = bench().reals(random_reals(V * C, 2), {V, C});
  const Tensor targets = bench().ints(random_ids(N, 3, V), {N});
  const Tensor training = bench().unset_exact({N}), evaluation = bench().unset_exact({N});
  bench().run(HeadLoss{
      training, {}, bench().unset({N, C}), bench().filled_exact(0, {V, C}), inp, weight, targets, 1});
  bench().run(HeadLoss{evaluation, {}, {}, {}, inp, weight, targets, 1});
  EXPECT_EQ(bench().bits(training), bench().bits(evaluation));
}

// One channel, whose input is 1: the weights are the logits, exact in every dtype. The largest V has more
// than one chunk of vocabulary on the CPU, and rows that no block keeps on a GPU.
TEST_P(Head, OfEqualLogitsTheFirstComesFirst) {
  for (const Index V : {Index{7}, Index{1030}, Index{250000}}) {
    for (const Index first : {Index{0}, V / 2, V - 3}) {
      const Index last = V - 1;
      Values<double> weight(static_cast<std::size_t>(V), 1.0);
      at(weight, first) = at(weight, first + 1) = at(weight, last) = 2;
      const Index other = first == 0 ? 3 : 0;
      // `other` is the first of the small ones, or the second after two of the three large. Where the input is
      // -1 the large ones are behind all others.
      const auto v = static_cast<std::int32_t>(V);
      const std::int32_t of_other = first == 0 ? 4 : 3;
      Values<std::int32_t> targets, expected;
      Values<double> inp;
      for (int again = 0; again < 5; ++again) {  // more than a group of rows of the largest V
        for (Index target : {first, first + 1, last, other, Index{-1}, first})
          targets.push_back(static_cast<std::int32_t>(target));
        for (double x : {1, 1, 1, 1, 1, -1}) inp.push_back(x);
        for (std::int32_t rank : {0, 1, 2, of_other, v, v - 3}) expected.push_back(rank);
      }
      const Index N = static_cast<Index>(targets.size());
      const Tensor losses = bench().unset_exact({N}),
                   ranks = bench().ints(Values<std::int32_t>(targets.size(), 7), {N});
      bench().run(HeadLoss{losses,
                           ranks,
                           {},
                           {},
                           bench().reals(inp, {N, 1}),
                           bench().reals(weight, {V, 1}),
                           bench().ints(targets, {N}),
                           1});
      EXPECT_EQ(bench().read_ints(ranks), expected) << V << " " << first;
    }
  }
}

// Each row's channel of its own, so that it has the logits that the test wants: all small integers.
TEST_P(Head, RanksBesideThoseOfAPlainSort) {
  const Index N = 70, V = 600;
  const auto weight_ids = random_ids(V * N, 1, 40);
  const Values<double> weight(weight_ids.begin(), weight_ids.end());
  Values<double> inp(static_cast<std::size_t>(N * N));
  auto targets = random_ids(N, 2, V);
  Values<std::int32_t> expected;
  for (Index n = 0; n < N; ++n) {
    at(inp, n * N + n) = 1;
    Values<std::int32_t> order(static_cast<std::size_t>(V));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
      return at(weight, a * N + n) > at(weight, b * N + n);
    });
    if (n % 3 == 0) at(targets, n) = order[static_cast<std::size_t>(n / 3)];
    const auto place = std::find(order.begin(), order.end(), at(targets, n));
    expected.push_back(static_cast<std::int32_t>(place - order.begin()));
  }
  const Tensor losses = bench().unset_exact({N}),
               ranks = bench().ints(Values<std::int32_t>(static_cast<std::size_t>(N), 7), {N});
  bench().run(HeadLoss{losses,
                       ranks,
                       {},
                       {},
                       bench().reals(inp, {N, N}),
                       bench().reals(weight, {V, N}),
                       bench().ints(targets, {N}),
                       1});
  EXPECT_EQ(bench().read_ints(ranks), expected);
}

TEST_P(Head, TheLastRankWhereTheLossIsNotFinite) {
  const Tensor losses = bench().unset_exact({2}), ranks = bench().ints({7, 7}, {2});
  bench().run(HeadLoss{losses,
                       ranks,
                       {},
                       {},
                       bench().reals({kNaN, 1}, {2, 1}),
                       bench().reals({1, 3, 2}, {3, 1}),
                       bench().ints({1, 1}, {2}),
                       1});
  EXPECT_EQ(bench().read_ints(ranks), (Values<std::int32_t>{3, 0}));
}

TEST_P(Head, NothingButPadding) {
  const Tensor losses = bench().unset_exact({3}), dinp = bench().unset({3, 2}),
               dweight = bench().filled_exact(7, {5, 2});
  bench().run(HeadLoss{losses,
                       {},
                       dinp,
                       dweight,
                       bench().filled(1, {3, 2}),
                       bench().filled(1, {5, 2}),
                       bench().ints({-1, -1, -1}, {3}),
                       1});
  EXPECT_EQ(bench().read(losses), Values<double>(3, 0.0));
  EXPECT_EQ(bench().read(dinp), Values<double>(6, 0.0));
  EXPECT_EQ(bench().read(dweight), Values<double>(10, 7.0));
}

TEST_P(Head, AnInfiniteLogitShowsInTheLoss) {
  const Tensor losses = bench().unset_exact({2});
  bench().run(HeadLoss{losses,
                       {},
                       {},
                       {},
                       bench().reals({kNaN, 1}, {2, 1}),
                       bench().filled(1, {20, 1}),
                       bench().ints({1, 1}, {2}),
                       1});
  const auto got = bench().read(losses);
  EXPECT_TRUE(std::isnan(got[0]));
  EXPECT_NEAR(got[1], std::log(20.0), 1e-5);
}

ZHGPT_ON_EVERY_DEVICE(Head);

}  // namespace
}  // namespace zhgpt::test
