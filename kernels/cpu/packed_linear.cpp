// PackWeight, PackedLinear: products with few rows, shared out among the threads by groups of channels.
#include <algorithm>
#include <numeric>

#include "cpu/math.h"
#include "cpu/ops.h"
#include "cpu/packed_int8.h"
#include "cpu/packed_weight.h"
#include "zhgpt/error.h"

namespace zhgpt::cpu {
namespace {

// So many bytes of weights, times rows, are worth handing to another thread; more tiles than kMostTiles only
// cost more hand-overs.
constexpr std::int64_t kTileBytes = 1 << 15, kMostTiles = 64;

template <class Real>
void require_float(const char* op) {
  if constexpr (!std::is_same_v<Real, float>) throw ConfigError(std::string(op) + ": computes in f32 only");
}

// The rows of inp (N, C) in shared scratch memory.
const QuantisedRow* quantised(Context& context, const float* inp, std::int64_t N, std::int64_t C) {
  constexpr std::int64_t kElements = 1 << 14;  // rows of so many are worth handing to another thread
  const std::int64_t padded = (C + 3) / 4 * 4, row_bytes = sizeof(QuantisedRow) + padded;
  auto* rows = reinterpret_cast<QuantisedRow*>(context.shared.get<char>(N * row_bytes));
  auto* values = reinterpret_cast<std::int8_t*>(rows + N);
  const std::int64_t per_tile = std::max<std::int64_t>(1, kElements / C);
  context.pool.for_each_tile(tiles_of(N, per_tile), [&](std::int64_t number, int) {
    const Tile tile(number, per_tile, N);
    for (std::int64_t n = tile.begin; n < tile.begin + tile.count; ++n) {
      std::int8_t* q = values + n * padded;
      std::fill_n(q + C, padded - C, std::int8_t{0});
      const float factor = quantise(inp + n * C, C, q);
      rows[n] = {q, factor, std::accumulate(q, q + C, std::int32_t{0})};
    }
  });
  return rows;
}

}  // namespace

template <class Real>
void execute(Context& context, const PackWeight& op) {
  require_float<Real>("PackWeight");
  const float* weight = op.weight.as<float>();
  context.pool.for_each_tile(tiles_of(op.out.OC, kGroup),
                             [&](std::int64_t group, int) { pack_group(op.out, weight, group); });
}

template <class Real>
void execute(Context& context, const PackedLinear& op) {
  require_float<Real>("PackedLinear");
  const PackedWeight& weight = op.weight;
  const std::int64_t N = op.out.dim(0), OC = weight.OC, groups = tiles_of(OC, kGroup);
  const float *inp = op.inp.as<float>(), *bias = op.bias ? op.bias.as<float>() : nullptr;
  const QuantisedRow* rows = weight.type == WeightType::int8 ? quantised(context, inp, N, weight.C) : nullptr;
  float* out = op.out.as<float>();
  const std::int64_t group_bytes = kGroup * 4 * PackedWeight::words(weight.type, weight.C);
  const std::int64_t per_tile =
      std::max({std::int64_t{1}, kTileBytes / (N * group_bytes), tiles_of(groups, kMostTiles)});
  context.pool.for_each_tile(tiles_of(groups, per_tile), [&](std::int64_t number, int) {
    const Tile tile(number, per_tile, groups);
    for (std::int64_t group = tile.begin; group < tile.begin + tile.count; ++group) {
      if (rows) {
        multiply_group(weight, group, rows, N, out);
      } else {
        multiply_group(weight, group, inp, N, out);
      }
      const Tile channels(group, kGroup, OC);
      for (std::int64_t n = 0; n < N; ++n) {
        float* x = out + n * OC + channels.begin;
        const float* b = bias + channels.begin;
        if (bias) {
          for (std::int64_t i = 0; i < channels.count; ++i) x[i] += b[i];
        }
        if (op.gelu) {
          for (std::int64_t i = 0; i < channels.count; ++i) x[i] = Gelu<float>::value(x[i]);
        }
      }
    }
  });
}

ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(PackWeight)
ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(PackedLinear)

}  // namespace zhgpt::cpu
