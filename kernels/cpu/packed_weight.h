// A weight (OC, C) laid out for products with few rows: 64 output channels side by side, so that a row of the
// result takes one stream through memory and no transposing. Held as f32, as bf16, or as whole numbers of
// eight bits with one factor a channel.
//
// Each output is summed over c as gemm.h says, in order, in chunks of kDepth: in f32 it has the bits of the
// product that training computes.
#pragma once

#include <cstdint>

#include "zhgpt/ops.h"

namespace zhgpt::cpu {

constexpr std::int64_t kGroup = 64;  // output channels side by side

// Packs the channels of group `group` of the f32 `weight` (OC, C).
void pack_group(const PackedWeight& to, const float* weight, std::int64_t group);

// out[n, 64 group + i] = inp[n, :] . weight[64 group + i, :] for the group's channels and N rows; out (N,
// OC).
void multiply_group(const PackedWeight& weight, std::int64_t group, const float* inp, std::int64_t N,
                    float* out);

}  // namespace zhgpt::cpu
