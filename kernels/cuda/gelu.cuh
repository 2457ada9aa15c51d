// GELU in the tanh form of D. Hendrycks, K. Gimpel, 2016: since (1 + tanh u) / 2 = 1 / (1 + exp(-2u)), it is
// x / (1 + exp(-2u)) with u = sqrt(2/pi) (x + 0.044715 x^3): one exponential and one division.
#pragma once

#include "cuda/device.cuh"

namespace zhgpt::cuda {

constexpr float kTwoSqrt2OverPi = 1.5957691216f, kCubic = 0.044715f;

__device__ __forceinline__ float sigmoid_of_2u(float x) {
  return __fdividef(1.f, 1.f + __expf(-kTwoSqrt2OverPi * x * fmaf(kCubic * x, x, 1.f)));
}
__device__ __forceinline__ float gelu(float x) {
  return x * sigmoid_of_2u(x);
}
__device__ __forceinline__ float gelu_derivative(float x) {
  const float s = sigmoid_of_2u(x), slope = kTwoSqrt2OverPi * fmaf(3 * kCubic * x, x, 1.f);  // of 2u
  return s * fmaf(x * (1.f - s), slope, 1.f);
}

}  // namespace zhgpt::cuda
