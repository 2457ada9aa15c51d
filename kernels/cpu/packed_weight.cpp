// Like gemm.cpp, compiled with contraction: `sum += x * w` is one fused multiply-add.
#include "cpu/packed_weight.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/gemm.h"
#include "zhgpt/bfloat16.h"

namespace zhgpt::cpu {
namespace {

constexpr int kLanes = 16, kVectors = kGroup / kLanes;
#if defined(__AVX512F__)
constexpr int kRows = 4;  // of the result at once: kRows * kVectors accumulators fit the registers
#else
constexpr int kRows = 1;
#endif
using Vector [[gnu::vector_size(kLanes * 4)]] = float;
using Words [[gnu::vector_size(kLanes * 4)]] = std::uint32_t;
using Halves [[gnu::vector_size(kLanes * 2)]] = std::uint16_t;
using Ints [[gnu::vector_size(kLanes * 4)]] = std::int32_t;
using Shorts [[gnu::vector_size(kLanes * 2)]] = std::int16_t;
using Bytes [[gnu::vector_size(kLanes)]] = std::int8_t;

template <class V, class T>
[[gnu::always_inline]] inline V load(const T* from) {
  V v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
[[gnu::always_inline]] inline Vector widened(const float* from) {
  return load<Vector>(from);
}
[[gnu::always_inline]] inline Vector widened(const std::uint16_t* from) {
  const Words bits = __builtin_convertvector(load<Halves>(from), Words) << 16;
  return load<Vector>(&bits);
}
[[gnu::always_inline]] inline Vector widened(const std::int8_t* from) {
  // Doubling the width each time, as processors do it: g++ compiles greater steps number by number.
  const auto shorts = __builtin_convertvector(load<Bytes>(from), Shorts);
  return __builtin_convertvector(__builtin_convertvector(shorts, Ints), Vector);
}

// How a type of weight is held.
template <class F>
void with_elements(const PackedWeight& w, const F& f) {
  switch (w.type) {
    case WeightType::f32:
      return f(static_cast<float*>(w.data));
    case WeightType::bf16:
      return f(static_cast<std::uint16_t*>(w.data));
    case WeightType::int8:
      return f(static_cast<std::int8_t*>(w.data));
  }
}
// One a channel, behind the elements; int8 only.
float* factors(const PackedWeight& w) {
  const std::int64_t groups = (w.OC + kGroup - 1) / kGroup;
  return reinterpret_cast<float*>(static_cast<char*>(w.data) + groups * kGroup * w.C);
}

float element(float value, float, const float*) {
  return value;
}
std::uint16_t element(float value, float, const std::uint16_t*) {
  return bfloat16_bits(value);
}
std::int8_t element(float value, float factor, const std::int8_t*) {
  return static_cast<std::int8_t>(std::lrint(value / factor));
}

// R rows of the result in the channels of one group; w (C, kGroup).
template <int R, class Element>
[[gnu::always_inline]] inline void rows_of_group(const Element* w, std::int64_t C, const float* inp,
                                                 Vector (&total)[R][kVectors]) {
  for (std::int64_t k0 = 0; k0 < C; k0 += kDepth) {
    Vector sum[R][kVectors] = {};
    for (std::int64_t k = k0; k < std::min(C, k0 + kDepth); ++k) {
      const Element* row = w + k * kGroup;
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const Vector weights = widened(row + v * kLanes);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) sum[r][v] += (inp[r * C + k] - Vector{}) * weights;
      }
    }
    for (int r = 0; r < R; ++r) {
      for (int v = 0; v < kVectors; ++v) total[r][v] = k0 == 0 ? sum[r][v] : total[r][v] + sum[r][v];
    }
  }
}

template <int R>
[[gnu::noinline]] void multiply_rows(const PackedWeight& weight, std::int64_t group, const float* inp,
                                     float* out) {
  const std::int64_t begin = group * kGroup, count = std::min(kGroup, weight.OC - begin);
  Vector total[R][kVectors];
  with_elements(weight,
                [&](auto* elements) { rows_of_group<R>(elements + begin * weight.C, weight.C, inp, total); });
  for (int r = 0; r < R; ++r) {
    if (weight.type == WeightType::int8) {
      for (int v = 0; v < kVectors; ++v) {
        total[r][v] *= load<Vector>(factors(weight) + begin + v * kLanes);
      }
    }
    std::memcpy(out + r * weight.OC + begin, total[r], static_cast<std::size_t>(count) * sizeof(float));
  }
}

}  // namespace

void pack_group(const PackedWeight& to, const float* weight, std::int64_t group) {
  const std::int64_t begin = group * kGroup;
  for (std::int64_t i = 0; i < kGroup; ++i) {
    const std::int64_t channel = begin + i;
    const float* row = channel < to.OC ? weight + channel * to.C : nullptr;  // missing channels are 0
    float factor = 1;
    if (to.type == WeightType::int8) {
      float most = 0;
      for (std::int64_t c = 0; row && c < to.C; ++c) most = std::max(most, std::abs(row[c]));
      factors(to)[channel] = factor = most > 0 ? most / 127 : 1;
    }
    with_elements(to, [&](auto* elements) {
      for (std::int64_t c = 0; c < to.C; ++c) {
        elements[begin * to.C + c * kGroup + i] = element(row ? row[c] : 0, factor, elements);
      }
    });
  }
}

void multiply_group(const PackedWeight& weight, std::int64_t group, const float* inp, std::int64_t N,
                    float* out) {
  std::int64_t n = 0;
  for (; n + kRows <= N; n += kRows) {
    multiply_rows<kRows>(weight, group, inp + n * weight.C, out + n * weight.OC);
  }
  for (; n < N; ++n) multiply_rows<1>(weight, group, inp + n * weight.C, out + n * weight.OC);
}

}  // namespace zhgpt::cpu
