// Sums and maxima over contiguous numbers in a fixed order: two vectors of lanes that take turns, combined
// lane by lane, then the tail. The order depends on the count alone, never on the machine's vector width or
// on threads.
#pragma once

#include <cstdint>
#include <cstring>

namespace zhgpt::cpu {

template <class T>
struct Lanes {
  using Vec [[gnu::vector_size(32)]] = T;
  static constexpr std::int64_t kCount = 32 / sizeof(T);

  static void load(Vec& v, const T* x) { std::memcpy(&v, x, sizeof v); }
};

namespace detail {

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
  T sum = 0;
  for (std::int64_t lane = 0; lane < kCount; ++lane) sum += even[lane];
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
  if (n >= kStep) {
    typename Lanes<T>::Vec lanes[kChains], v;  // chains of comparisons that need not wait for each other
    for (std::int64_t c = 0; c < kChains; ++c) Lanes<T>::load(lanes[c], x + c * kCount);
    for (i = kStep; i + kStep <= n; i += kStep) {
      for (std::int64_t c = 0; c < kChains; ++c) {
        Lanes<T>::load(v, x + i + c * kCount);
        lanes[c] = v > lanes[c] ? v : lanes[c];
      }
    }
    for (const auto& chain : lanes) {
      for (std::int64_t lane = 0; lane < kCount; ++lane) most = chain[lane] > most ? chain[lane] : most;
    }
  }
  for (; i < n; ++i) most = x[i] > most ? x[i] : most;
  return most;
}

}  // namespace zhgpt::cpu
