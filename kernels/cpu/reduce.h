// Sums and maxima over contiguous numbers in a fixed order: two vectors of lanes that take turns, combined
// lane by lane, then by halves, then the tail. The order depends on the count alone, never on the machine's
// vector width or on threads.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/math.h"

namespace zhgpt::cpu {

template <class T>
struct Lanes {
  using Vec [[gnu::vector_size(32)]] = T;
  static constexpr std::int64_t kCount = 32 / sizeof(T);

  static void load(Vec& v, const T* x) { std::memcpy(&v, x, sizeof v); }
};

namespace detail {

// One number of kCount: the upper half is combined into the lower one until one is left.
template <std::int64_t kCount, class T, class F>
T fold(T* x, const F& combine) {
#pragma GCC unroll 4
  for (std::int64_t half = kCount / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (std::int64_t i = 0; i < half; ++i) x[i] = combine(x[i], x[i + half]);
  }
  return x[0];
}
template <class T, class F>
T fold_lanes(const typename Lanes<T>::Vec& v, const F& combine) {
  T x[Lanes<T>::kCount];
  std::memcpy(x, &v, sizeof v);
  return fold<Lanes<T>::kCount>(x, combine);
}

// step(i, lanes): lanes += terms i, i + 1, …; tail(i): term i alone.
template <class T, class Step, class Tail>
T sum_lanes(std::int64_t n, const Step& step, const Tail& tail) {
  constexpr std::int64_t kCount = Lanes<T>::kCount;
  typename Lanes<T>::Vec even{}, odd{};
  std::int64_t i = 0;
  for (; i + 2 * kCount <= n; i += 2 * kCount) {
    step(i, even);
    step(i + kCount, odd);
  }
  even += odd;
  T sum = fold_lanes<T>(even, [](T a, T b) { return a + b; });
  for (; i < n; ++i) sum += tail(i);
  return sum;
}

}  // namespace detail

template <class T>
T sum_of(const T* x, std::int64_t n) {
  return detail::sum_lanes<T>(
      n,
      [x](std::int64_t i, auto& lanes) {
        typename Lanes<T>::Vec v;
        Lanes<T>::load(v, x + i);
        lanes += v;
      },
      [x](std::int64_t i) { return x[i]; });
}

template <class T>
T dot_of(const T* x, const T* y, std::int64_t n) {
  return detail::sum_lanes<T>(
      n,
      [x, y](std::int64_t i, auto& lanes) {
        typename Lanes<T>::Vec v, w;
        Lanes<T>::load(v, x + i);
        Lanes<T>::load(w, y + i);
        lanes += v * w;
      },
      [x, y](std::int64_t i) { return x[i] * y[i]; });
}

// Sum of (x - centre)^2.
template <class T>
T squares_about(const T* x, T centre, std::int64_t n) {
  return detail::sum_lanes<T>(
      n,
      [x, centre](std::int64_t i, auto& lanes) {
        typename Lanes<T>::Vec v;
        Lanes<T>::load(v, x + i);
        v -= centre;
        lanes += v * v;
      },
      [x, centre](std::int64_t i) { return (x[i] - centre) * (x[i] - centre); });
}

// The largest number; NaN may get lost here, which the sum of exponentials that follows brings back.
// REQUIRES: n > 0.
template <class T>
T max_of(const T* x, std::int64_t n) {
  constexpr std::int64_t kCount = Lanes<T>::kCount, kChains = 4, kStep = kChains * kCount;
  T most = x[0];
  std::int64_t i = 0;
  if (n >= kCount) {
    typename Lanes<T>::Vec lanes[kChains], v;  // chains of comparisons that need not wait for each other
    for (auto& chain : lanes) Lanes<T>::load(chain, x);
    for (; i + kStep <= n; i += kStep) {
      for (std::int64_t c = 0; c < kChains; ++c) {
        Lanes<T>::load(v, x + i + c * kCount);
        lanes[c] = v > lanes[c] ? v : lanes[c];
      }
    }
    for (; i + kCount <= n; i += kCount) {
      Lanes<T>::load(v, x + i);
      lanes[0] = v > lanes[0] ? v : lanes[0];
    }
    for (std::int64_t c = 1; c < kChains; ++c) lanes[0] = lanes[c] > lanes[0] ? lanes[c] : lanes[0];
    most = detail::fold_lanes<T>(lanes[0], [](T a, T b) { return b > a ? b : a; });
  }
  for (; i < n; ++i) most = x[i] > most ? x[i] : most;
  return most;
}

// x[i] becomes exp(x[i] - most); returns their sum, in the order of sum_of.
template <class T>
T exponentials_of(T* x, T most, std::int64_t n) {
  constexpr std::int64_t kLanes = 2 * Lanes<T>::kCount;
  T sums[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      x[i + lane] = exp_of(x[i + lane] - most);
      sums[lane] += x[i + lane];
    }
  }
  T sum = detail::fold<kLanes>(sums, [](T a, T b) { return a + b; });
  for (; i < n; ++i) sum += x[i] = exp_of(x[i] - most);
  return sum;
}

}  // namespace zhgpt::cpu
