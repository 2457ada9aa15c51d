// AttentionForward, AttentionBackward: causal softmax attention, head by head.
//
// Queries go in blocks of 32 rows against all keys up to the block's end, so that scores take (32, T) of a
// thread's scratch and never (T, T). Backward recomputes the probabilities from the saved log-sum-exp; one
// tile owns a whole head, so that dk and dv are added up in the order of the query blocks. Derivation:
// docs/numerics.md.
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

}  // namespace

template <class Real>
void execute(Context& context, const AttentionForward& op) {
  const Sizes size(op.out);
  const std::int64_t T = size.T, HS = size.HS, C = size.C, stride = 3 * C, blocks = tiles_of(T, kQueries);
  const Real scale = size.scale<Real>();
  const std::int64_t scratch = Workspace<Real>::size(T, HS);
  context.reserve<Real>(scratch);
  context.pool.for_each_tile(size.heads() * blocks, [&](std::int64_t tile, int thread) {
    const std::int64_t head = tile / blocks;
    const Tile rows(tile % blocks, kQueries, T);
    const std::int64_t keys = rows.begin + rows.count;
    const Real *q = op.qkv.as<Real>() + size.in_qkv(head), *k = q + C, *v = k + C;
    Real* out = op.out.as<Real>() + size.in_out(head);
    Real* lse = op.lse.as<Real>() + head * T;
    const Workspace<Real> work(context.scratch<Real>(thread, scratch), T, HS);
    Real* scores = work.scores;

    const std::int64_t columns = padded_keys(keys);
    work.product(rows.count, keys, HS, {q + rows.begin * stride, stride}, {k, stride, Layout::columns},
                 scores, columns, Sum::overwrite);
    for (std::int64_t i = 0; i < rows.count; ++i) {
      lse[rows.begin + i] = softmax(scores + i * columns, rows.begin + i + 1, columns, scale);
    }
    work.product(rows.count, HS, keys, {scores, columns}, {v, stride}, out + rows.begin * C, C,
                 Sum::overwrite);
  });
}

template <class Real>
void execute(Context& context, const AttentionBackward& op) {
  const Sizes size(op.out);
  const std::int64_t T = size.T, HS = size.HS, C = size.C, stride = 3 * C;
  const Real scale = size.scale<Real>();
  const std::int64_t scratch = Workspace<Real>::size(T, HS);
  context.reserve<Real>(scratch);
  context.pool.for_each_tile(size.heads(), [&](std::int64_t head, int thread) {
    const Real *q = op.qkv.as<Real>() + size.in_qkv(head), *k = q + C, *v = k + C;
    Real *dq = op.dqkv.as<Real>() + size.in_qkv(head), *dk = dq + C, *dv = dk + C;
    const Real *out = op.out.as<Real>() + size.in_out(head), *dout = op.dout.as<Real>() + size.in_out(head);
    const Real* lse = op.lse.as<Real>() + head * T;
    const Workspace<Real> work(context.scratch<Real>(thread, scratch), T, HS);
    Real *p = work.scores, *ds = work.dscores;
    for (std::int64_t t = 0; t < T; ++t) {
      std::fill_n(dk + t * stride, HS, Real{0});
      std::fill_n(dv + t * stride, HS, Real{0});
    }
    for (std::int64_t begin = 0; begin < T; begin += kQueries) {
      const std::int64_t rows = std::min(kQueries, T - begin), keys = begin + rows;
      const Operand<Real> q_rows{q + begin * stride, stride}, dout_rows{dout + begin * C, C};
      work.product(rows, keys, HS, q_rows, {k, stride, Layout::columns}, p, keys, Sum::overwrite);
      work.product(rows, keys, HS, dout_rows, {v, stride, Layout::columns}, ds, keys, Sum::overwrite);
      for (std::int64_t i = 0; i < rows; ++i) {
        Real *p_row = p + i * keys, *ds_row = ds + i * keys;
        const std::int64_t t = begin + i;
        const Real mean_dp = dot_of(dout + t * C, out + t * C, HS), log_sum = lse[t];
        std::fill(p_row + t + 1, p_row + keys, kHidden<Real>);
        for (std::int64_t j = 0; j < keys; ++j) p_row[j] = exp_of(p_row[j] * scale - log_sum);
        for (std::int64_t j = 0; j < keys; ++j) ds_row[j] = p_row[j] * (ds_row[j] - mean_dp) * scale;
      }
      work.product(keys, HS, rows, {p, keys, Layout::columns}, dout_rows, dv, stride, Sum::add);
      work.product(keys, HS, rows, {ds, keys, Layout::columns}, q_rows, dk, stride, Sum::add);
      work.product(rows, HS, keys, {ds, keys}, {k, stride}, dq + begin * stride, stride, Sum::overwrite);
    }
  });
}

ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(AttentionForward)
ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(AttentionBackward)

}  // namespace zhgpt::cpu
