// The forward of every operation, written plainly from its formula, for T = double and T =
// std::complex<double>.
//
// With complex numbers the derivative comes from a step of 1e-50 along the imaginary axis: f(x + ih) = f(x) +
// ih f'(x), without cancellation and so exact to rounding. W. Squire, G. Trapp, "Using complex variables to
// estimate derivatives of real functions", SIAM Review, 1998.
#pragma once

#include <cmath>
#include <complex>
#include <cstdint>
#include <vector>

#include "zhgpt/ops.h"

namespace zhgpt::test {

using Complex = std::complex<double>;
template <class T>
using Values = std::vector<T>;
using Index = std::int64_t;

template <class T>
T& at(Values<T>& values, Index i) {
  return values[static_cast<std::size_t>(i)];
}
template <class T>
const T& at(const Values<T>& values, Index i) {
  return values[static_cast<std::size_t>(i)];
}

inline double real_part(double x) {
  return x;
}
inline double real_part(const Complex& x) {
  return x.real();
}

namespace reference {

template <class T>
Values<T> zeros(Index count) {
  return Values<T>(static_cast<std::size_t>(count));
}

template <class T>
Values<T> linear(const Values<T>& inp, const Values<T>& weight, const Values<T>& bias, Index N, Index C,
                 Index OC) {
  Values<T> out = zeros<T>(N * OC);
  for (Index n = 0; n < N; ++n)
    for (Index o = 0; o < OC; ++o) {
      T sum = bias.empty() ? T{} : at(bias, o);
      for (Index c = 0; c < C; ++c) sum += at(inp, n * C + c) * at(weight, o * C + c);
      at(out, n * OC + o) = sum;
    }
  return out;
}

template <class T>
Values<T> gelu(Values<T> x) {
  using std::tanh;
  const double root = std::sqrt(2.0 / std::acos(-1.0));
  for (T& value : x) value = 0.5 * value * (1.0 + tanh(root * (value + 0.044715 * value * value * value)));
  return x;
}

template <class T>
struct Normalised {
  Values<T> out, mean, rstd;
};
template <class T>
Normalised<T> layernorm(const Values<T>& inp, const Values<T>& weight, const Values<T>& bias, Index N,
                        Index C) {
  using std::sqrt;
  Normalised<T> result{zeros<T>(N * C), zeros<T>(N), zeros<T>(N)};
  for (Index n = 0; n < N; ++n) {
    T mean{}, variance{};
    for (Index c = 0; c < C; ++c) mean += at(inp, n * C + c) / static_cast<double>(C);
    for (Index c = 0; c < C; ++c) {
      const T centred = at(inp, n * C + c) - mean;
      variance += centred * centred / static_cast<double>(C);
    }
    const T rstd = 1.0 / sqrt(variance + 1e-5);
    for (Index c = 0; c < C; ++c) {
      at(result.out, n * C + c) = (at(inp, n * C + c) - mean) * rstd * at(weight, c) + at(bias, c);
    }
    at(result.mean, n) = mean;
    at(result.rstd, n) = rstd;
  }
  return result;
}

// The factor of each element: 0 or 1 / (1 - p), from the definition in ops.h.
inline Values<double> dropout_mask(Index count, const Dropout& dropout, const StepState& state) {
  Values<double> mask(static_cast<std::size_t>(count), 1.0);
  if (dropout.p == 0) return mask;
  const auto step = static_cast<std::uint64_t>(state.step * dropout.micro_steps + dropout.micro_step);
  for (Index i = 0; i < count; ++i) {
    const PhiloxBlock block = random_block(state.seed, RandomStream::dropout, step, dropout.site,
                                           static_cast<std::uint64_t>(i / 4));
    const double number = static_cast<double>(block[static_cast<std::size_t>(i % 4)] >> 8) / 16777216.0;
    at(mask, i) =
        number >= static_cast<double>(dropout.p) ? 1.0 / (1.0 - static_cast<double>(dropout.p)) : 0.0;
  }
  return mask;
}

template <class T>
Values<T> embedding(const Values<std::int32_t>& ids, const Values<T>& wte, const Values<T>& wpe,
                    const Values<double>& mask, Index T_, Index C) {
  Values<T> out = zeros<T>(static_cast<Index>(ids.size()) * C);
  for (Index i = 0; i < static_cast<Index>(out.size()); ++i) {
    const Index n = i / C, c = i % C;
    at(out, i) = (at(wte, at(ids, n) * C + c) + at(wpe, n % T_ * C + c)) * at(mask, i);
  }
  return out;
}

template <class T>
struct Attended {
  Values<T> out, lse;
};
template <class T>
Attended<T> attention(const Values<T>& qkv, Index B, Index T_, Index NH, Index HS) {
  using std::exp;
  using std::log;
  const auto entry = [&](Index b, Index t, Index which, Index h, Index i) -> const T& {
    return at(qkv, (((b * T_ + t) * 3 + which) * NH + h) * HS + i);
  };
  Attended<T> result{zeros<T>(B * T_ * NH * HS), zeros<T>(B * NH * T_)};
  for (Index b = 0; b < B; ++b)
    for (Index h = 0; h < NH; ++h)
      for (Index t = 0; t < T_; ++t) {
        Values<T> weights = zeros<T>(t + 1);
        T largest{}, sum{};
        for (Index s = 0; s <= t; ++s) {
          T score{};
          for (Index i = 0; i < HS; ++i) score += entry(b, t, 0, h, i) * entry(b, s, 1, h, i);
          at(weights, s) = score / std::sqrt(static_cast<double>(HS));
          if (s == 0 || real_part(at(weights, s)) > real_part(largest)) largest = at(weights, s);
        }
        for (T& weight : weights) sum += weight = exp(weight - largest);
        for (Index i = 0; i < HS; ++i) {
          T value{};
          for (Index s = 0; s <= t; ++s) value += at(weights, s) / sum * entry(b, s, 2, h, i);
          at(result.out, ((b * T_ + t) * NH + h) * HS + i) = value;
        }
        at(result.lse, (b * NH + h) * T_ + t) = largest + log(sum);
      }
  return result;
}

template <class T>
Values<T> head_losses(const Values<T>& inp, const Values<T>& weight, const Values<std::int32_t>& targets,
                      Index C, Index V) {
  using std::exp;
  using std::log;
  const Index N = static_cast<Index>(targets.size());
  Values<T> losses = zeros<T>(N);
  for (Index n = 0; n < N; ++n) {
    if (at(targets, n) < 0) continue;
    Values<T> logits = zeros<T>(V);
    T largest{}, sum{};
    for (Index v = 0; v < V; ++v) {
      for (Index c = 0; c < C; ++c) at(logits, v) += at(inp, n * C + c) * at(weight, v * C + c);
      if (v == 0 || real_part(at(logits, v)) > real_part(largest)) largest = at(logits, v);
    }
    for (const T& logit : logits) sum += exp(logit - largest);
    at(losses, n) = largest + log(sum) - at(logits, at(targets, n));
  }
  return losses;
}

}  // namespace reference

inline Values<Complex> to_complex(const Values<double>& values) {
  return {values.begin(), values.end()};
}

// d/dx[i] of sum_j cotangent[j] f(x)[j] for each i in `places` (all of them when empty).
template <class F>
Values<double> gradient(const F& f, const Values<double>& x, const Values<double>& cotangent,
                        Values<Index> places = {}) {
  constexpr double kStep = 1e-50;
  if (places.empty()) {
    for (Index i = 0; i < static_cast<Index>(x.size()); ++i) places.push_back(i);
  }
  Values<double> result;
  Values<Complex> moved = to_complex(x);
  for (Index i : places) {
    at(moved, i) += Complex(0, kStep);
    const Values<Complex> y = f(moved);
    double sum = 0;
    for (std::size_t j = 0; j < y.size(); ++j) sum += cotangent[j] * y[j].imag() / kStep;
    result.push_back(sum);
    at(moved, i) = at(x, i);
  }
  return result;
}

}  // namespace zhgpt::test
