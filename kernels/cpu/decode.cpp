// EmbeddingDecode, CacheKeysValues, AttentionDecode: what decoding does in another way than training, one
// token a row from a cache of the keys and values before it. Each has the bits of the whole text's forward
// pass.
#include <algorithm>
#include <cmath>

#include "cpu/attention.h"
#include "cpu/ops.h"

namespace zhgpt::cpu {

template <class Real>
void execute(Context& context, const EmbeddingDecode& op) {
  const std::int64_t B = op.out.dim(0), C = op.out.dim(1);
  context.pool.for_each_tile(B, [&](std::int64_t b, int) {
    const Real *token = op.wte.as<Real>() + op.tokens.as<std::int32_t>()[b] * C,
               *position = op.wpe.as<Real>() + op.lengths.as<std::int32_t>()[b] * C;
    Real* out = op.out.as<Real>() + b * C;
    for (std::int64_t c = 0; c < C; ++c) out[c] = token[c] + position[c];
  });
}

template <class Real>
void execute(Context& context, const CacheKeysValues& op) {
  const std::int64_t NH = op.k_cache.dim(0), S = op.k_cache.dim(1), HS = op.k_cache.dim(2), T = op.qkv.dim(0);
  context.pool.for_each_tile(NH, [&](std::int64_t head, int) {
    for (std::int64_t t = 0; t < T; ++t) {
      const Real* k = op.qkv.as<Real>() + (t * 3 + 1) * NH * HS + head * HS;
      std::copy_n(k, HS, op.k_cache.as<Real>() + (head * S + t) * HS);
      std::copy_n(k + NH * HS, HS, op.v_cache.as<Real>() + (head * S + t) * HS);
    }
  });
}

// A tile is some heads of one row.
template <class Real>
void execute(Context& context, const AttentionDecode& op) {
  constexpr std::int64_t kWork = 1 << 12;  // so many elements of the keys are worth handing to another thread
  const std::int64_t B = op.out.dim(0), NH = op.out.dim(1), HS = op.out.dim(2), S = op.k_cache.dim(2);
  const std::int64_t per_tile = std::max<std::int64_t>(1, kWork / (S * HS)), tiles = tiles_of(NH, per_tile);
  const Real scale = 1 / std::sqrt(static_cast<Real>(HS));
  const std::int64_t for_packed = std::max(PackedMatrix<Real>::size(HS, S), PackedMatrix<Real>::size(S, HS)),
                     scratch = for_packed + whole_blocks(S);
  context.reserve<Real>(scratch);
  context.pool.for_each_tile(B * tiles, [&](std::int64_t number, int thread) {
    const std::int64_t b = number / tiles, length = op.lengths.as<std::int32_t>()[b], keys = length + 1;
    const Tile heads(number % tiles, per_tile, NH);
    Real *packed = context.scratch<Real>(thread, scratch), *scores = packed + for_packed;
    const auto product = [&](std::int64_t n, std::int64_t k, const Real* a, Operand<Real> matrix, Real* c) {
      PackedMatrix<Real> packed_matrix(packed, k, n);
      packed_matrix.pack(matrix);
      multiply(1, {a, k}, packed_matrix, c, n, Sum::overwrite);
    };
    for (std::int64_t head = heads.begin; head < heads.begin + heads.count; ++head) {
      const std::int64_t row_head = b * NH + head;
      const Real *q = op.qkv.as<Real>() + (b * 3 * NH + head) * HS, *k = q + NH * HS, *v = k + NH * HS;
      Real *k_cache = op.k_cache.as<Real>() + row_head * S * HS,
           *v_cache = op.v_cache.as<Real>() + row_head * S * HS;
      std::copy_n(k, HS, k_cache + length * HS);
      std::copy_n(v, HS, v_cache + length * HS);
      product(keys, HS, q, {k_cache, HS, Layout::columns}, scores);
      softmax(scores, keys, scale);
      product(HS, keys, scores, {v_cache, HS}, op.out.as<Real>() + row_head * HS);
    }
  });
}

ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(EmbeddingDecode)
ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(CacheKeysValues)
ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(AttentionDecode)

}  // namespace zhgpt::cpu
