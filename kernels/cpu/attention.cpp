// AttentionForward, AttentionBackward: causal softmax attention, head by head.
//
// Queries go in blocks of 64 rows against all keys up to the block's end, so that scores take (64, T) of a
// thread's scratch and never (T, T). Backward recomputes the probabilities from the saved log-sum-exp; one
// tile owns a whole head, so that dk and dv are added up in the order of the query blocks. Derivation:
// docs/numerics.md.
#include <algorithm>
#include <cmath>

#include "cpu/blas.h"
#include "cpu/math.h"
#include "cpu/ops.h"
#include "cpu/reduce.h"

namespace zhgpt::cpu {
namespace {

constexpr std::int64_t kQueries = 64;

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
  const std::int64_t T = size.T, HS = size.HS, C = size.C, blocks = tiles_of(T, kQueries);
  context.reserve<Real>(kQueries * T);
  context.pool.for_each_tile(size.heads() * blocks, [&](std::int64_t tile, int thread) {
    const std::int64_t head = tile / blocks;
    const Tile rows(tile % blocks, kQueries, T);
    const std::int64_t keys = rows.begin + rows.count;
    const Real *q = op.qkv.as<Real>() + size.in_qkv(head), *k = q + C, *v = k + C;
    Real* out = op.out.as<Real>() + size.in_out(head);
    Real* lse = op.lse.as<Real>() + head * T;
    Real* scores = context.scratch<Real>(thread, kQueries * T);

    gemm<Real>(Transposed::b, rows.count, keys, HS, size.scale<Real>(), {q + rows.begin * 3 * C, 3 * C},
               {k, 3 * C}, 0, {scores, keys});
    for (std::int64_t i = 0; i < rows.count; ++i) {
      Real* s = scores + i * keys;
      const std::int64_t seen = rows.begin + i + 1;
      const Real most = max_of(s, seen);
      for (std::int64_t j = 0; j < seen; ++j) s[j] = exp_of(s[j] - most);
      const Real sum = sum_of(s, seen), inverse = 1 / sum;
      for (std::int64_t j = 0; j < seen; ++j) s[j] *= inverse;
      std::fill(s + seen, s + keys, Real{0});
      lse[rows.begin + i] = most + std::log(sum);
    }
    gemm<Real>(Transposed::neither, rows.count, HS, keys, 1, {scores, keys}, {v, 3 * C}, 0,
               {out + rows.begin * C, C});
  });
}

template <class Real>
void execute(Context& context, const AttentionBackward& op) {
  const Sizes size(op.out);
  const std::int64_t T = size.T, HS = size.HS, C = size.C, stride = 3 * C;
  const Real scale = size.scale<Real>();
  context.reserve<Real>(2 * kQueries * T);
  context.pool.for_each_tile(size.heads(), [&](std::int64_t head, int thread) {
    const Real *q = op.qkv.as<Real>() + size.in_qkv(head), *k = q + C, *v = k + C;
    Real *dq = op.dqkv.as<Real>() + size.in_qkv(head), *dk = dq + C, *dv = dk + C;
    const Real *out = op.out.as<Real>() + size.in_out(head), *dout = op.dout.as<Real>() + size.in_out(head);
    const Real* lse = op.lse.as<Real>() + head * T;
    Real *p = context.scratch<Real>(thread, 2 * kQueries * T), *ds = p + kQueries * T;
    for (std::int64_t t = 0; t < T; ++t) {
      std::fill_n(dk + t * stride, HS, Real{0});
      std::fill_n(dv + t * stride, HS, Real{0});
    }
    for (std::int64_t begin = 0; begin < T; begin += kQueries) {
      const std::int64_t rows = std::min(kQueries, T - begin), keys = begin + rows;
      const Real *q_rows = q + begin * stride, *dout_rows = dout + begin * C;
      gemm<Real>(Transposed::b, rows, keys, HS, scale, {q_rows, stride}, {k, stride}, 0, {p, keys});
      gemm<Real>(Transposed::b, rows, keys, HS, 1, {dout_rows, C}, {v, stride}, 0, {ds, keys});
      for (std::int64_t i = 0; i < rows; ++i) {
        Real *p_row = p + i * keys, *ds_row = ds + i * keys;
        const std::int64_t t = begin + i;
        const Real mean_dp = dot_of(dout + t * C, out + t * C, HS), log_sum = lse[t];
        for (std::int64_t j = 0; j <= t; ++j) {
          p_row[j] = exp_of(p_row[j] - log_sum);
          ds_row[j] = p_row[j] * (ds_row[j] - mean_dp) * scale;
        }
        std::fill(p_row + t + 1, p_row + keys, Real{0});
        std::fill(ds_row + t + 1, ds_row + keys, Real{0});
      }
      gemm<Real>(Transposed::a, keys, HS, rows, 1, {p, keys}, {dout_rows, C}, 1, {dv, stride});
      gemm<Real>(Transposed::a, keys, HS, rows, 1, {ds, keys}, {q_rows, stride}, 1, {dk, stride});
      gemm<Real>(Transposed::neither, rows, HS, keys, 1, {ds, keys}, {k, stride}, 0,
                 {dq + begin * stride, stride});
    }
  });
}

ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(AttentionForward)
ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(AttentionBackward)

}  // namespace zhgpt::cpu
