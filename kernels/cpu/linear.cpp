// LinearForward, LinearDecode, LinearBackwardInput, LinearBackwardWeight: dense products, shared out among
// the threads by rows of the result; bias, GELU and its derivative are applied to the rows of a tile while
// they are in the cache.
#include <algorithm>

#include "cpu/gemm.h"
#include "cpu/math.h"
#include "cpu/ops.h"

namespace zhgpt::cpu {
namespace {

// A tile of the result: few enough rows and columns that some threads share even a small product evenly, and
// enough that a panel of B, once in the cache, serves several register tiles.
constexpr std::int64_t kRows = 48, kColumns = 64;

// c (m, n) = or += a (m, k) . b (k, n), row-major and whole; then finish(rows, columns) on the thread that
// made them.
template <class Real, class F>
void product(Context& context, std::int64_t m, std::int64_t n, std::int64_t k, Operand<Real> a,
             Operand<Real> b, Real* c, Sum sum, const F& finish) {
  PackedMatrix<Real> packed(context.shared.get<Real>(PackedMatrix<Real>::size(k, n)), k, n);
  context.pool.for_each_tile(packed.pieces(b.layout),
                             [&](std::int64_t piece, int) { packed.pack_piece(piece, b); });

  const std::int64_t across = tiles_of(n, kColumns);
  context.pool.for_each_tile(tiles_of(m, kRows) * across, [&](std::int64_t tile, int) {
    const Tile rows(tile / across, kRows, m), columns(tile % across, kColumns, n);
    const std::int64_t first = a.layout == Layout::rows ? rows.begin * a.stride : rows.begin;
    multiply(rows.count, {a.data + first, a.stride, a.layout}, packed, {columns.begin, columns.count},
             c + rows.begin * n + columns.begin, n, sum);
    finish(rows, columns);
  });
}

// sum[c] += column sums of the (n, count) block at `block`, in chunks of rows to keep rounding small.
template <class Real>
void add_column_sums(Real* sum, const Real* block, std::int64_t stride, std::int64_t n, std::int64_t count) {
  constexpr std::int64_t kChunk = 64;
  Real total[kRows] = {};
  for (std::int64_t begin = 0; begin < n; begin += kChunk) {
    Real part[kRows] = {};
    for (std::int64_t row = begin; row < std::min(n, begin + kChunk); ++row) {
      for (std::int64_t c = 0; c < count; ++c) part[c] += block[row * stride + c];
    }
    for (std::int64_t c = 0; c < count; ++c) total[c] += part[c];
  }
  for (std::int64_t c = 0; c < count; ++c) sum[c] += total[c];
}

// sums = inp . weight^T + bias; with gelu, out = gelu(sums). The two may be the same.
template <class Real>
void forward(Context& context, const Tensor& out_tensor, const Tensor& sums_tensor, const Tensor& inp_tensor,
             const Tensor& weight, const Tensor& bias_tensor, bool gelu) {
  const std::int64_t N = out_tensor.dim(0), OC = out_tensor.dim(1), C = inp_tensor.dim(1);
  const Real* bias = bias_tensor ? bias_tensor.as<Real>() : nullptr;
  Real *out = out_tensor.as<Real>(), *sums = sums_tensor.as<Real>();
  const Operand<Real> inp{inp_tensor.as<Real>(), C}, weight_transposed{weight.as<Real>(), C, Layout::columns};
  product(context, N, OC, C, inp, weight_transposed, sums, Sum::overwrite, [&](Tile rows, Tile columns) {
    for (std::int64_t r = rows.begin; r < rows.begin + rows.count; ++r) {
      Real *x = sums + r * OC + columns.begin, *y = out + r * OC + columns.begin;
      const Real* b = bias + columns.begin;
      if (bias) {
        for (std::int64_t c = 0; c < columns.count; ++c) x[c] += b[c];
      }
      if (gelu) {
        for (std::int64_t c = 0; c < columns.count; ++c) y[c] = Gelu<Real>::value(x[c]);
      }
    }
  });
}

}  // namespace

template <class Real>
void execute(Context& context, const LinearForward& op) {
  const bool gelu = bool{op.pre_gelu};
  forward<Real>(context, op.out, gelu ? op.pre_gelu : op.out, op.inp, op.weight, op.bias, gelu);
}

// The order of a product's sums does not depend on the number of rows.
template <class Real>
void execute(Context& context, const LinearDecode& op) {
  forward<Real>(context, op.out, op.out, op.inp, op.weight, op.bias, op.gelu);
}

template <class Real>
void execute(Context& context, const LinearBackwardInput& op) {
  const std::int64_t N = op.dinp.dim(0), C = op.dinp.dim(1), OC = op.dout.dim(1);
  Real* dinp = op.dinp.as<Real>();
  const Operand<Real> dout{op.dout.as<Real>(), OC}, weight{op.weight.as<Real>(), C};
  product(context, N, C, OC, dout, weight, dinp, Sum::overwrite, [&](Tile rows, Tile columns) {
    if (!op.pre_gelu) return;
    for (std::int64_t r = rows.begin; r < rows.begin + rows.count; ++r) {
      const Real* x = op.pre_gelu.as<Real>() + r * C + columns.begin;
      Real* dx = dinp + r * C + columns.begin;
      for (std::int64_t c = 0; c < columns.count; ++c) dx[c] *= Gelu<Real>::derivative(x[c]);
    }
  });
}

// Tokens go in chunks, so that what is packed of one stays in the second-level cache while the tiles go by.
// They hold whole chunks of a product's sums, whose order they leave as it is.
template <class Real>
void execute(Context& context, const LinearBackwardWeight& op) {
  constexpr std::int64_t kTokens = 768;
  static_assert(kTokens % kDepth == 0);
  const std::int64_t OC = op.dweight.dim(0), C = op.dweight.dim(1), N = op.inp.dim(0);
  for (std::int64_t begin = 0; begin < N; begin += kTokens) {
    const std::int64_t tokens = std::min(kTokens, N - begin);
    const Real *dout = op.dout.as<Real>() + begin * OC, *inp = op.inp.as<Real>() + begin * C;
    product(context, OC, C, tokens, {dout, OC, Layout::columns}, {inp, C}, op.dweight.as<Real>(), Sum::add,
            [&](Tile rows, Tile columns) {
              if (op.dbias && columns.begin == 0)
                add_column_sums(op.dbias.as<Real>() + rows.begin, dout + rows.begin, OC, tokens, rows.count);
            });
  }
}

ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(LinearForward)
ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(LinearDecode)
ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(LinearBackwardInput)
ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(LinearBackwardWeight)

}  // namespace zhgpt::cpu
