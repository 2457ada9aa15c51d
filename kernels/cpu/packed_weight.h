// A weight (OC, C) laid out for products with few rows: 64 output channels side by side, so that a row of the
// result takes one stream through memory and no transposing. A channel has a lane of 32 bits, which holds one
// element of f32, two successive ones of bf16, four of int8; where C ends within a lane, zeros follow.
//
// In f32 and bf16 each output is summed over c as gemm.h says, in order, in chunks of kDepth: in f32 it has
// the bits of the product that training computes. In int8 the sum is one of whole numbers, so that its order
// does not matter: packed_int8.h.
#pragma once

#include <cstdint>

#include "zhgpt/ops.h"

namespace zhgpt::cpu {

constexpr std::int64_t kGroup = 64;  // output channels side by side

// Packs the channels of group `group` of the f32 `weight` (OC, C).
void pack_group(const PackedWeight& to, const float* weight, std::int64_t group);

// out[n, 64 group + i] = inp[n, :] . weight[64 group + i, :] for the group's channels and N rows; out (N,
// OC). REQUIRES: f32 or bf16.
void multiply_group(const PackedWeight& weight, std::int64_t group, const float* inp, std::int64_t N,
                    float* out);

}  // namespace zhgpt::cpu
