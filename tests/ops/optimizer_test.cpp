// AccumulateLoss, GlobalNorm, AdamW, AdvanceStep: the end of a step, and what a number that is not finite
// does to it.
#include "support/device.h"
#include "support/fill.h"
#include "support/reference_ops.h"

namespace zhgpt::test {
namespace {

class Optimizer : public OnDevice {};

TEST_P(Optimizer, LossesAddUpOverMicroBatches) {
  const Index N = 5000;
  const auto losses = random_reals(N, 1, 1, 3);
  StepState* state = bench().state({.loss = 77});
  const Tensor device_losses = bench().exacts(losses, {N});
  double sum = 0;
  for (double loss : losses) sum += loss;
  bench().run(AccumulateLoss{state, device_losses, 1.0 / N, true});
  EXPECT_NEAR(bench().read(state).loss, sum / N, 1e-6);
  bench().run(AccumulateLoss{state, device_losses, 0.5 / N, false});
  EXPECT_NEAR(bench().read(state).loss, 1.5 * sum / N, 1e-6);
}

TEST_P(Optimizer, GlobalNormClipsWhatIsTooLong) {
  for (const Index P : {1, 7, 4096, 10001}) {
    const auto grads = random_reals(P, 1, 2);
    const Tensor device_grads = bench().exacts(grads, {P});
    double sum = 0;
    for (double g : grads) sum += g * g;
    const double norm = std::sqrt(sum);
    StepState* state = bench().state({.loss = 1});
    for (const auto& [max_norm, want] : {std::pair{0.0, 1.0}, {norm * 2, 1.0}, {norm / 4, 0.25}}) {
      bench().run(GlobalNorm{state, device_grads, max_norm});
      EXPECT_NEAR(bench().read(state).grad_norm / norm, 1, 1e-6);
      EXPECT_NEAR(bench().read(state).clip_scale, want, 1e-6);
    }
  }
}

// One step of AdamW, from Algorithm 2 of the paper, with bias correction, in double.
struct AdamWReference {
  double beta1, beta2, eps, weight_decay;
  void step(double& p, double& m, double& v, double g, double rate, double t, bool decays) const {
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    const double m_hat = m / (1 - std::pow(beta1, t)), v_hat = v / (1 - std::pow(beta2, t));
    p -= rate * (m_hat / (std::sqrt(v_hat) + eps) + (decays ? weight_decay * p : 0));
  }
};

TEST_P(Optimizer, AdamWFollowsThePaper) {
  for (const auto& [P, n_decay] :
       {std::pair<Index, Index>{1, 0}, {5, 3}, {24, 11}, {320, 192}, {40000, 20011}, {16384, 16384}}) {
    auto params = random_reals(P, 1), m = Values<double>(static_cast<std::size_t>(P)), v = m;
    const AdamWReference reference{0.9, 0.95, 1e-8, 0.1};
    AdamW op;
    op.params = bench().exacts(params, {P});
    op.m = bench().filled_exact(0, {P});
    op.v = bench().filled_exact(0, {P});
    op.n_decay = n_decay;
    for (int updates = 0; updates < 3; ++updates) {
      const auto grads = random_reals(P, static_cast<std::uint32_t>(10 + updates));
      const StepState state{.step = 9, .updates = updates, .learning_rate = 0.01f, .clip_scale = 0.5f};
      op.grads = bench().exacts(grads, {P});
      op.state = bench().state(state);
      bench().run(op);
      for (Index i = 0; i < P; ++i) {
        reference.step(at(params, i), at(m, i), at(v, i), 0.5 * at(grads, i), static_cast<double>(0.01f),
                       updates + 1, i < n_decay);
      }
    }
    const Tolerance tolerance{exact() ? 1e-12 : 1e-6};
    EXPECT_TRUE(close(bench().read(op.params), params, tolerance));
    EXPECT_TRUE(close(bench().read(op.m), m, tolerance));
    EXPECT_TRUE(close(bench().read(op.v), v, tolerance));
  }
}

TEST_P(Optimizer, TheWorkingCopyIsTheParametersRounded) {
  if (GetParam().backend == std::string("cpu")) GTEST_SKIP() << "nothing works in bf16 there";
  for (const Index P : {1, 13, 64, 704, 5000}) {
    AdamW op;
    op.params = bench().exacts(random_reals(P, 1), {P});
    op.m = bench().exacts(random_reals(P, 2), {P});
    op.v = bench().exacts(random_reals(P, 3, 0.5, 1), {P});
    op.grads = bench().exacts(random_reals(P, 4), {P});
    op.working = bench().rounded(P);
    op.n_decay = P / 2;
    op.state = bench().state({.updates = 6, .learning_rate = 0.01f, .clip_scale = 1});
    bench().run(op);
    auto want = bench().read(op.params);
    for (double& value : want) value = bfloat16_value(bfloat16_bits(static_cast<float>(value)));
    EXPECT_EQ(bench().read(op.working), want) << P;
  }
}

TEST_P(Optimizer, BeginStepTakesTheRateOfTheStep) {
  const Tensor rates = bench().floats({0.5f, 0.25f, 0.125f});
  for (const auto& [step, want] : {std::pair<Index, float>{0, 0.5f}, {2, 0.125f}, {7, 0.25f}}) {
    StepState* state = bench().state({.step = step, .learning_rate = 9});
    bench().run(BeginStep{state, rates});
    EXPECT_EQ(bench().read(state).learning_rate, want);
    EXPECT_EQ(bench().read(state).step, step);
  }
}

TEST_P(Optimizer, AdvanceStepKeepsAHistory) {
  StepState* state = bench().state({.step = 4, .loss = 3, .clip_scale = 1});
  StepState* history = bench().states(3);
  for (int i = 0; i < 4; ++i) bench().run(AdvanceStep{state, history, 3});
  for (const auto& [entry, step] : {std::pair<int, Index>{0, 7}, {1, 8}, {2, 6}}) {
    EXPECT_EQ(bench().read(history + entry).step, step);
    EXPECT_EQ(bench().read(history + entry).updates, step - 4);
    EXPECT_EQ(bench().read(history + entry).loss, 3);
  }
}

TEST_P(Optimizer, AStepThatIsNotFiniteChangesNothing) {
  const Index P = 100;
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const auto finite = random_reals(P, 1);
  auto broken = finite, infinite = finite;
  broken[57] = kNaN;
  infinite[99] = static_cast<double>(kInf);
  struct {
    const Values<double>* grads;
    float loss;
  } cases[] = {{&broken, 1}, {&infinite, 1}, {&finite, kInf}, {&finite, std::nanf("")}};
  for (const auto& [grads, loss] : cases) {
    StepState* state = bench().state({.step = 4,
                                      .updates = 3,
                                      .skipped = 1,
                                      .skipped_in_a_row = 1,
                                      .learning_rate = 1,
                                      .loss = loss,
                                      .clip_scale = 1});
    AdamW op;
    op.params = bench().exacts(random_reals(P, 2), {P});
    op.m = bench().exacts(random_reals(P, 3), {P});
    op.v = bench().exacts(random_reals(P, 4, 0.5, 1), {P});
    op.grads = bench().exacts(*grads, {P});
    op.state = state;
    const auto params = bench().bits(op.params), m = bench().bits(op.m), v = bench().bits(op.v);
    bench().run(GlobalNorm{state, op.grads, 1.0});
    EXPECT_EQ(bench().read(state).clip_scale, 0);
    bench().run(op);
    EXPECT_EQ(bench().bits(op.params), params);
    EXPECT_EQ(bench().bits(op.m), m);
    EXPECT_EQ(bench().bits(op.v), v);
    bench().run(AdvanceStep{state});
    const StepState after = bench().read(state);
    EXPECT_EQ(after.step, 5);
    EXPECT_EQ(after.updates, 3);
    EXPECT_EQ(after.skipped, 2);
    EXPECT_EQ(after.skipped_in_a_row, 2);
  }
}

TEST_P(Optimizer, AdvanceStepCountsAnUpdate) {
  StepState* state =
      bench().state({.step = 4, .updates = 3, .skipped = 1, .skipped_in_a_row = 1, .clip_scale = 0.5f});
  bench().run(AdvanceStep{state});
  const StepState after = bench().read(state);
  EXPECT_EQ(after.step, 5);
  EXPECT_EQ(after.updates, 4);
  EXPECT_EQ(after.skipped, 1);
  EXPECT_EQ(after.skipped_in_a_row, 0);
}

ZHGPT_ON_EVERY_DEVICE(Optimizer);

}  // namespace
}  // namespace zhgpt::test
