// Products of whole numbers of eight bits, as PackedLinear in ops.h defines them: a row of the input is
// rounded like a channel of the weight, and their product is exact. Four products of bytes are added up in a
// lane of 32 bits by one instruction (AVX-512 VNNI), by four (AVX2) or by some more: all with the same bits.
#pragma once

#include <cstdint>

#include "zhgpt/ops.h"

namespace zhgpt::cpu {

// to[i] = x[i] / factor to the nearest whole number, ties to even; returns factor = max|x| / 127. Where that
// is 0, and where a number is not finite, all of them are 0; in the latter case the factor is NaN.
float quantise(const float* x, std::int64_t count, std::int8_t* to);

// One a channel, behind the elements.
inline float* factors_of(const PackedWeight& w) {
  const std::int64_t channels = (w.OC + 63) / 64 * 64;
  return static_cast<float*>(w.data) + channels * PackedWeight::words(w.type, w.C);
}

struct QuantisedRow {
  const std::int8_t* values;  // (C), then zeros up to a multiple of 4
  float factor;
  std::int32_t sum;  // of values
};

// The multiply_group of packed_weight.h for an int8 weight.
void multiply_group(const PackedWeight& weight, std::int64_t group, const QuantisedRow* rows, std::int64_t N,
                    float* out);

}  // namespace zhgpt::cpu
