// PackWeight, PackedLinear: products with few rows, shared out among the threads by groups of channels.
#include <algorithm>

#include "cpu/math.h"
#include "cpu/ops.h"
#include "cpu/packed_weight.h"
#include "zhgpt/error.h"

namespace zhgpt::cpu {
namespace {

// So many multiplications are worth handing to another thread.
constexpr std::int64_t kWork = 1 << 14;

template <class Real>
void require_float(const char* op) {
  if constexpr (!std::is_same_v<Real, float>) throw ConfigError(std::string(op) + ": computes in f32 only");
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
  const std::int64_t N = op.out.dim(0), OC = op.weight.OC, C = op.weight.C, groups = tiles_of(OC, kGroup);
  const float *inp = op.inp.as<float>(), *bias = op.bias ? op.bias.as<float>() : nullptr;
  float* out = op.out.as<float>();
  const std::int64_t per_tile = std::max<std::int64_t>(1, kWork / (N * C * kGroup));
  context.pool.for_each_tile(tiles_of(groups, per_tile), [&](std::int64_t number, int) {
    const Tile tile(number, per_tile, groups);
    for (std::int64_t group = tile.begin; group < tile.begin + tile.count; ++group) {
      multiply_group(op.weight, group, inp, N, out);
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
