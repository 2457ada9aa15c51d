// AttentionDecode: one query a row against its cache of keys and values, a head a tile.
#include <algorithm>
#include <cmath>

#include "cpu/math.h"
#include "cpu/ops.h"
#include "cpu/reduce.h"

namespace zhgpt::cpu {

template <class Real>
void execute(Context& context, const AttentionDecode& op) {
  const std::int64_t B = op.out.dim(0), NH = op.out.dim(1), HS = op.out.dim(2), S = op.k_cache.dim(2);
  const Real scale = 1 / std::sqrt(static_cast<Real>(HS));
  context.reserve<Real>(S);
  context.pool.for_each_tile(B * NH, [&](std::int64_t tile, int thread) {
    const std::int64_t b = tile / NH, head = tile % NH, length = op.lengths.as<std::int32_t>()[b];
    const Real *q = op.qkv.as<Real>() + (b * 3 * NH + head) * HS, *k = q + NH * HS, *v = k + NH * HS;
    Real *k_cache = op.k_cache.as<Real>() + tile * S * HS, *v_cache = op.v_cache.as<Real>() + tile * S * HS;
    Real *out = op.out.as<Real>() + tile * HS, *p = context.scratch<Real>(thread, S);
    std::copy_n(k, HS, k_cache + length * HS);
    std::copy_n(v, HS, v_cache + length * HS);
    for (std::int64_t s = 0; s <= length; ++s) p[s] = dot_of(q, k_cache + s * HS, HS);
    const Real most = max_of(p, length + 1);
    for (std::int64_t s = 0; s <= length; ++s) p[s] = exp_of((p[s] - most) * scale);
    const Real inverse = 1 / sum_of(p, length + 1);
    std::fill_n(out, HS, Real{0});
    for (std::int64_t s = 0; s <= length; ++s) {
      for (std::int64_t i = 0; i < HS; ++i) out[i] += p[s] * inverse * v_cache[s * HS + i];
    }
  });
}

ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(AttentionDecode)

}  // namespace zhgpt::cpu
