// Elementary functions as inline arithmetic, so that the compiler turns loops over them into vector code,
// with the same bits for every element wherever it lies. In double they come from the standard library.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace zhgpt::cpu {

// a * b + c, rounded once where the processor does so; chosen when compiled, the same in vector and scalar
// code.
inline float fused(float a, float b, float c) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}
inline double fused(double a, double b, double c) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}

// exp(x) within 2 ulp; 0 where the result would be below 1.8e-38, near the end of the normal numbers. x = n
// ln2
// + r, |r| <= ln2 / 2, and e^r by a polynomial within 3.1e-9 of it; docs/numerics.md.
inline float exp_of(float x) {
  constexpr float kLog2e = 1.44269504f;
  constexpr float kLn2High = 0.693359375f;              // 10 bits, so that n * kLn2High is exact
  constexpr float kLn2Low = -2.12194440e-4f;            // ln2 - kLn2High
  constexpr float kRound = 12582912.f + 126;            // 1.5 * 2^23: adding it rounds to a whole number
  constexpr float kLargest = 89.f, kSmallest = -86.9f;  // beyond these the result is infinite, or 0
  const float limited = x > kLargest ? kLargest : x;    // a NaN stays one
  const float shifted = fused(limited, kLog2e, kRound);
  const float n = shifted - kRound;
  const float r = fused(n, -kLn2Low, fused(n, -kLn2High, limited));
  float p = 1.38145972e-3f;
  p = fused(p, r, 8.36871692e-3f);
  p = fused(p, r, 4.16683881e-2f);
  p = fused(p, r, 1.66665206e-1f);
  p = fused(p, r, 4.99999934e-1f);
  p = fused(p, r * r, r);
  // The low bits of `shifted` are n + 126, the exponent of 2^(n - 1); 2^n itself is no float where n = 128.
  const float half = std::bit_cast<float>(std::bit_cast<std::uint32_t>(shifted) << 23);
  return x < kSmallest ? 0.f : 2 * fused(p, half, half);
}
inline double exp_of(double x) {
  return std::exp(x);
}

// The tanh form of GELU as x * sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3): (1 + tanh u) / 2 =
// sigmoid(2u).
template <class T>
struct Gelu {
  static constexpr T kTwoSqrt2OverPi = static_cast<T>(1.5957691216057307117597842397375);
  static constexpr T kCubic = static_cast<T>(0.044715);

  static T value(T x) { return x * sigmoid(x); }
  static T derivative(T x) {
    const T s = sigmoid(x);
    const T slope = kTwoSqrt2OverPi * fused(3 * kCubic * x, x, T{1});  // of 2u
    return s * fused(x * (1 - s), slope, T{1});
  }

 private:
  static T sigmoid(T x) { return 1 / (1 + exp_of(-kTwoSqrt2OverPi * x * fused(kCubic * x, x, T{1}))); }
};

}  // namespace zhgpt::cpu
