// AccumulateLoss, GlobalNorm, AdamW, AdvanceStep: the end of a step, over the flat arenas.
// Sums are taken in double over fixed chunks with fixed lanes, and the chunks in order.
#include <algorithm>
#include <cmath>

#include "cpu/ops.h"

namespace zhgpt::cpu {
namespace {

constexpr std::int64_t kChunk = 4096;

// Sum of term(x[i]) over a chunk, in 32 lanes of double.
template <class Real, class F>
double chunk_sum(const Real* x, std::int64_t n, const F& term) {
  constexpr std::int64_t kLanes = 32;
  double lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(static_cast<double>(x[i + lane]));
  }
  for (std::int64_t lane = 0; i < n; ++i, ++lane) lanes[lane] += term(static_cast<double>(x[i]));
  double sum = 0;
  for (double lane : lanes) sum += lane;
  return sum;
}

template <class Real, class F>
double ordered_sum(Context& context, const Tensor& tensor, const F& term) {
  const std::int64_t n = tensor.numel(), chunks = tiles_of(n, kChunk);
  double* partial = context.shared.get<double>(chunks);
  context.pool.for_each_tile(chunks, [&](std::int64_t chunk, int) {
    const Tile part(chunk, kChunk, n);
    partial[chunk] = chunk_sum(tensor.as<Real>() + part.begin, part.count, term);
  });
  double sum = 0;
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) sum += partial[chunk];
  return sum;
}

// The scalars of one update, computed in double.
template <class Real>
struct AdamWFactors {
  Real clip, beta1, beta2, one_minus_beta1, one_minus_beta2, step_size, inverse_root_correction2, eps;

  explicit AdamWFactors(const AdamW& op) {
    const double t = static_cast<double>(op.state->updates + 1);
    const double rate = static_cast<double>(op.state->learning_rate);
    clip = static_cast<Real>(op.state->clip_scale);
    beta1 = static_cast<Real>(op.beta1);
    beta2 = static_cast<Real>(op.beta2);
    one_minus_beta1 = static_cast<Real>(1 - op.beta1);
    one_minus_beta2 = static_cast<Real>(1 - op.beta2);
    step_size = static_cast<Real>(rate / (1 - std::pow(op.beta1, t)));
    inverse_root_correction2 = static_cast<Real>(1 / std::sqrt(1 - std::pow(op.beta2, t)));
    eps = static_cast<Real>(op.eps);
  }
};

// Vector code: the compiler need not keep sqrt ready to set errno (-fno-math-errno), and not inlined
// `__restrict` holds.
template <class Real>
[[gnu::noinline]] void update(Real* __restrict params, Real* __restrict m, Real* __restrict v,
                              const Real* __restrict grads, std::int64_t n, Real keep,
                              const AdamWFactors<Real> f) {
  for (std::int64_t i = 0; i < n; ++i) {
    const Real g = grads[i] * f.clip;
    m[i] = f.beta1 * m[i] + f.one_minus_beta1 * g;
    v[i] = f.beta2 * v[i] + f.one_minus_beta2 * (g * g);
    params[i] =
        keep * params[i] - f.step_size * (m[i] / (std::sqrt(v[i]) * f.inverse_root_correction2 + f.eps));
  }
}

}  // namespace

template <class Real>
void execute(Context&, const BeginStep& op) {
  op.state->learning_rate = op.rates.as<float>()[op.state->step % op.rates.numel()];
}

template <class Real>
void execute(Context& context, const AccumulateLoss& op) {
  const double sum = ordered_sum<Real>(context, op.losses, [](double x) { return x; });
  const double before = op.first ? 0 : static_cast<double>(op.state->loss);
  op.state->loss = static_cast<float>(before + op.scale * sum);
}

template <class Real>
void execute(Context& context, const GlobalNorm& op) {
  const double norm = std::sqrt(ordered_sum<Real>(context, op.grads, [](double x) { return x * x; }));
  op.state->grad_norm = static_cast<float>(norm);
  const bool finite = std::isfinite(op.state->loss) && std::isfinite(op.state->grad_norm);
  const double scale = op.max_norm > 0 && norm > op.max_norm ? op.max_norm / norm : 1;
  op.state->clip_scale = finite ? static_cast<float>(scale) : 0;
}

template <class Real>
void execute(Context& context, const AdamW& op) {
  if (op.state->clip_scale == 0) return;
  const AdamWFactors<Real> factors(op);
  const double decay = static_cast<double>(op.state->learning_rate) * op.weight_decay;
  const std::int64_t P = op.params.numel();
  constexpr std::int64_t kElements = 4 * kChunk;
  context.pool.for_each_tile(tiles_of(P, kElements), [&](std::int64_t tile, int) {
    const Tile part(tile, kElements, P);
    const std::int64_t end = part.begin + part.count, border = std::clamp(op.n_decay, part.begin, end);
    const auto range = [&](std::int64_t from, std::int64_t to, double keep) {
      update(op.params.as<Real>() + from, op.m.as<Real>() + from, op.v.as<Real>() + from,
             op.grads.as<Real>() + from, to - from, static_cast<Real>(keep), factors);
    };
    range(part.begin, border, 1 - decay);
    range(border, end, 1);
  });
}

template <class Real>
void execute(Context&, const AdvanceStep& op) {
  StepState& state = *op.state;
  ++state.step;
  if (state.clip_scale == 0) {
    ++state.skipped;
    ++state.skipped_in_a_row;
  } else {
    ++state.updates;
    state.skipped_in_a_row = 0;
  }
  if (op.history) op.history[(state.step - 1) % op.history_size] = state;
}

ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(BeginStep)
ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(AccumulateLoss)
ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(GlobalNorm)
ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(AdamW)
ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(AdvanceStep)

}  // namespace zhgpt::cpu
