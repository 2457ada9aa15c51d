// AttentionForward, AttentionBackward: causal softmax attention, head by head.
//
// Queries go in blocks of 32 against all keys up to the block's last, so that scores take (T, 32) of a
// thread's scratch and never (T, T). They lie transposed, a row for each key: of keys and values none is ever
// transposed, and softmax needs no sum across the lanes of a vector. Backward recomputes the probabilities
// from the saved log-sum-exp; one tile owns a whole head, so that dk and dv are added up in one order, that
// of the blocks from the last to the first. Derivation: docs/numerics.md.
#include <algorithm>
#include <cmath>

#include "cpu/attention.h"
#include "cpu/ops.h"

namespace zhgpt::cpu {
namespace {

struct Sizes {
  std::int64_t B, T, NH, HS, C;
  explicit Sizes(const Tensor& out)
      : B(out.dim(0)), T(out.dim(1)), NH(out.dim(2)), HS(out.dim(3)), C(NH * HS) {}

  std::int64_t heads() const { return B * NH; }
  // Offsets of head number `head`'s first row in (B, T, NH, HS) and in (B, T, 3, NH, HS).
  std::int64_t in_out(std::int64_t head) const { return head / NH * T * C + head % NH * HS; }
  std::int64_t in_qkv(std::int64_t head) const { return head / NH * T * 3 * C + head % NH * HS; }
  template <class Real>
  Real scale() const {
    return 1 / std::sqrt(static_cast<Real>(HS));
  }
};

// Queries [begin, begin + rows) of a head and the keys that they may see.
struct Block {
  std::int64_t begin, rows, keys;
  Block(std::int64_t first, std::int64_t T)
      : begin(first), rows(std::min(kQueries, T - first)), keys(first + rows) {}
};

// c (keys, kQueries) = a (keys, HS) . b (HS, queries of the block), b being packed into `memory`.
template <class Real>
void scores_of(const Block& block, std::int64_t HS, Operand<Real> a, Operand<Real> b, Real* memory, Real* c) {
  PackedMatrix<Real> packed(memory, HS, block.rows);
  packed.pack(b);
  multiply(block.keys, a, packed, c, kQueries, Sum::overwrite);
  if (block.rows == kQueries) return;
  for (std::int64_t j = 0; j < block.keys; ++j) {  // no result comes of these, but nor should a slow NaN
    std::fill(c + j * kQueries + block.rows, c + (j + 1) * kQueries, Real{0});
  }
}

template <class Real>
void hide_the_future(const Block& block, Real* scores) {
  for (std::int64_t j = 0; j < block.rows; ++j) {
    Real* row = scores + (block.begin + j) * kQueries;
    for (std::int64_t i = 0; i < kQueries; ++i) row[i] = i < j ? kHidden<Real> : row[i];
  }
}

// Probabilities from scores s, and in ds, which comes as their gradient, that of the scores. Not inlined, so
// that `__restrict` holds and the loop becomes vector code.
template <class Real>
[[gnu::noinline]] void backward_of_columns(Real* __restrict s, Real* __restrict ds, std::int64_t keys,
                                           Real scale, const Real* __restrict lse,
                                           const Real* __restrict mean_dp) {
  for (std::int64_t j = 0; j < keys; ++j) {
    Real *p = s + j * kQueries, *d = ds + j * kQueries;
    for (std::int64_t i = 0; i < kQueries; ++i) {
      p[i] = exp_of(p[i] * scale - lse[i]);
      d[i] = p[i] * (d[i] - mean_dp[i]) * scale;
    }
  }
}

}  // namespace

// A tile is some blocks of queries, for which the values are packed once.
template <class Real>
void execute(Context& context, const AttentionForward& op) {
  constexpr std::int64_t kQueriesOfTile = 4 * kQueries;
  const Sizes size(op.out);
  const std::int64_t T = size.T, HS = size.HS, C = size.C, stride = 3 * C,
                     tiles = tiles_of(T, kQueriesOfTile);
  const Real scale = size.scale<Real>();
  const std::int64_t for_queries = PackedMatrix<Real>::size(HS, kQueries),
                     for_values = PackedMatrix<Real>::size(T, HS),
                     scratch = for_queries + for_values + T * kQueries;
  context.reserve<Real>(scratch);
  context.pool.for_each_tile(size.heads() * tiles, [&](std::int64_t tile, int thread) {
    const std::int64_t head = tile / tiles;
    const Tile queries(tile % tiles, kQueriesOfTile, T);
    const std::int64_t end = queries.begin + queries.count;
    const Real *q = op.qkv.as<Real>() + size.in_qkv(head), *k = q + C, *v = k + C;
    Real* out = op.out.as<Real>() + size.in_out(head);
    Real *packed_queries = context.scratch<Real>(thread, scratch),
         *packed_values = packed_queries + for_queries, *scores = packed_values + for_values;
    PackedMatrix<Real> values(packed_values, end, HS);
    values.pack({v, stride});
    for (std::int64_t begin = queries.begin; begin < end; begin += kQueries) {
      const Block block(begin, T);
      scores_of(block, HS, {k, stride}, {q + begin * stride, stride, Layout::columns}, packed_queries,
                scores);
      hide_the_future(block, scores);
      Real lse[kQueries];
      softmax_of_columns(scores, block.keys, scale, lse);
      std::copy_n(lse, block.rows, op.lse.as<Real>() + head * T + begin);
      multiply(block.rows, {scores, kQueries, Layout::columns}, values.first(block.keys), out + begin * C, C,
               Sum::overwrite);
    }
  });
}

template <class Real>
void execute(Context& context, const AttentionBackward& op) {
  const Sizes size(op.out);
  const std::int64_t T = size.T, HS = size.HS, C = size.C, stride = 3 * C;
  const Real scale = size.scale<Real>();
  const std::int64_t for_block = std::max(PackedMatrix<Real>::size(HS, kQueries),
                                          PackedMatrix<Real>::size(kQueries, HS)),
                     for_keys = PackedMatrix<Real>::size(T, HS),
                     scratch = for_block + for_keys + 2 * T * kQueries;
  context.reserve<Real>(scratch);
  context.pool.for_each_tile(size.heads(), [&](std::int64_t head, int thread) {
    const Real *q = op.qkv.as<Real>() + size.in_qkv(head), *k = q + C, *v = k + C;
    Real *dq = op.dqkv.as<Real>() + size.in_qkv(head), *dk = dq + C, *dv = dk + C;
    const Real *out = op.out.as<Real>() + size.in_out(head), *dout = op.dout.as<Real>() + size.in_out(head);
    Real *packed = context.scratch<Real>(thread, scratch), *packed_keys = packed + for_block,
         *p = packed_keys + for_keys, *ds = p + T * kQueries;
    PackedMatrix<Real> keys(packed_keys, T, HS);
    keys.pack({k, stride});
    // The last block sees all keys: what it gives to dk and dv is written, and what the others give added.
    for (std::int64_t begin = (T - 1) / kQueries * kQueries; begin >= 0; begin -= kQueries) {
      const Block block(begin, T);
      const Real *q_block = q + begin * stride, *dout_block = dout + begin * C;
      Real lse[kQueries] = {}, mean_dp[kQueries] = {};
      std::copy_n(op.lse.as<Real>() + head * T + begin, block.rows, lse);
      for (std::int64_t i = 0; i < block.rows; ++i) {
        mean_dp[i] = dot_of(dout_block + i * C, out + (begin + i) * C, HS);
      }
      scores_of(block, HS, {k, stride}, {q_block, stride, Layout::columns}, packed, p);
      scores_of(block, HS, {v, stride}, {dout_block, C, Layout::columns}, packed, ds);
      hide_the_future(block, p);
      backward_of_columns(p, ds, block.keys, scale, lse, mean_dp);

      const Sum how = block.keys == T ? Sum::overwrite : Sum::add;
      PackedMatrix<Real> rows_of_block(packed, block.rows, HS);
      rows_of_block.pack({dout_block, C});
      multiply(block.keys, {p, kQueries}, rows_of_block, dv, stride, how);
      rows_of_block.pack({q_block, stride});
      multiply(block.keys, {ds, kQueries}, rows_of_block, dk, stride, how);
      multiply(block.rows, {ds, kQueries, Layout::columns}, keys.first(block.keys), dq + begin * stride,
               stride, Sum::overwrite);
    }
  });
}

ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(AttentionForward)
ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(AttentionBackward)

}  // namespace zhgpt::cpu
