// Like gemm.cpp, compiled with contraction: `sum += x * w` is one fused multiply-add.
#include "cpu/packed_weight.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "cpu/gemm.h"
#include "cpu/packed_int8.h"
#include "zhgpt/bfloat16.h"

namespace zhgpt::cpu {
namespace {

// kRows rows of the result at once in kVectors vectors of channels: as many accumulators as the registers
// hold beside the operands.
#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kVectors = 4, kRows = 4;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32, kVectors = 8, kRows = 1;
#else
constexpr int kVectorBytes = 16, kVectors = 8, kRows = 1;
#endif
using Vector [[gnu::vector_size(kVectorBytes)]] = float;
using Words [[gnu::vector_size(kVectorBytes)]] = std::uint32_t;
constexpr std::int64_t kLanes = kVectorBytes / 4, kChannels = kVectors * kLanes;
static_assert(kGroup % kChannels == 0);

template <class Element>
constexpr std::int64_t kInLane = 4 / sizeof(Element);  // successive elements of a channel

template <class Element>
Element* elements_of(const PackedWeight& w, std::int64_t group) {
  return static_cast<Element*>(w.data) + group * kGroup * PackedWeight::words(w.type, w.C) * kInLane<Element>;
}

template <class Element>
void place(const PackedWeight& to, std::int64_t group, std::int64_t i, const Element* channel) {
  constexpr std::int64_t n = kInLane<Element>;
  Element* elements = elements_of<Element>(to, group) + i * n;
  for (std::int64_t c = 0; c < to.C; ++c) elements[c / n * kGroup * n + c % n] = channel[c];
}

template <class V, class T>
[[gnu::always_inline]] inline V load(const T* from) {
  V v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

// Element number `which` of each lane.
template <class Element>
[[gnu::always_inline]] inline Vector element_of(const Element* lanes, int which) {
  Words bits = load<Words>(lanes);
  if (sizeof(Element) == 2) bits = which == 0 ? bits << 16 : bits & 0xffff0000u;
  return load<Vector>(&bits);
}

// R rows of the result in kChannels channels; w (words, kGroup) from the first of them on.
template <int R, class Element>
[[gnu::always_inline]] inline void multiply_channels(const Element* w, std::int64_t C, const float* inp,
                                                     Vector (&total)[R][kVectors]) {
  constexpr std::int64_t n = kInLane<Element>;
  static_assert(kDepth % n == 0);
  for (std::int64_t k0 = 0; k0 < C; k0 += kDepth) {
    Vector sum[R][kVectors] = {};
    const auto add = [&](std::int64_t k, int which) __attribute__((always_inline)) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        const Vector weights = element_of(w + k * kGroup + v * kLanes * n, which);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) sum[r][v] += (inp[r * C + k + which] - Vector{}) * weights;
      }
    };
    const std::int64_t end = std::min(C, k0 + kDepth);
    std::int64_t k = k0;
    for (; k + n <= end; k += n) {
#pragma GCC unroll 2
      for (int which = 0; which < n; ++which) add(k, which);
    }
    if (k < end) add(k, 0);
    for (int r = 0; r < R; ++r) {
      for (int v = 0; v < kVectors; ++v) total[r][v] = k0 == 0 ? sum[r][v] : total[r][v] + sum[r][v];
    }
  }
}

template <int R, class Element>
[[gnu::noinline]] void multiply_rows(const PackedWeight& weight, std::int64_t group, const float* inp,
                                     float* out) {
  const Element* w = elements_of<const Element>(weight, group);
  for (std::int64_t i = 0; i < kGroup; i += kChannels) {
    const std::int64_t begin = group * kGroup + i, count = std::min(kChannels, weight.OC - begin);
    if (count <= 0) break;
    Vector total[R][kVectors];
    multiply_channels<R>(w + i * kInLane<Element>, weight.C, inp, total);
    for (int r = 0; r < R; ++r) {
      std::memcpy(out + r * weight.OC + begin, total[r], static_cast<std::size_t>(count) * sizeof(float));
    }
  }
}

template <class Element>
void multiply_all_rows(const PackedWeight& weight, std::int64_t group, const float* inp, std::int64_t N,
                       float* out) {
  std::int64_t n = 0;
  for (; n + kRows <= N; n += kRows) {
    multiply_rows<kRows, Element>(weight, group, inp + n * weight.C, out + n * weight.OC);
  }
  for (; n < N; ++n) multiply_rows<1, Element>(weight, group, inp + n * weight.C, out + n * weight.OC);
}

}  // namespace

void pack_group(const PackedWeight& to, const float* weight, std::int64_t group) {
  const std::int64_t begin = group * kGroup, count = std::min(kGroup, to.OC - begin);
  const auto C = static_cast<std::size_t>(to.C);
  const std::int64_t words = kGroup * PackedWeight::words(to.type, to.C);
  std::fill_n(elements_of<std::uint32_t>(to, group), words, 0u);
  if (to.type == WeightType::int8) std::fill_n(factors_of(to) + begin, kGroup, 0.f);
  std::vector<std::uint16_t> halves(C);
  std::vector<std::int8_t> bytes(C);
  for (std::int64_t i = 0; i < count; ++i) {
    const float* channel = weight + (begin + i) * to.C;
    switch (to.type) {
      case WeightType::f32:
        place(to, group, i, channel);
        break;
      case WeightType::bf16:
        std::transform(channel, channel + C, halves.begin(), bfloat16_bits);
        place(to, group, i, halves.data());
        break;
      case WeightType::int8:
        factors_of(to)[begin + i] = quantise(channel, to.C, bytes.data());
        place(to, group, i, bytes.data());
        break;
    }
  }
}

void multiply_group(const PackedWeight& weight, std::int64_t group, const float* inp, std::int64_t N,
                    float* out) {
  if (weight.type == WeightType::f32) {
    multiply_all_rows<float>(weight, group, inp, N, out);
  } else {
    multiply_all_rows<std::uint16_t>(weight, group, inp, N, out);
  }
}

}  // namespace zhgpt::cpu
