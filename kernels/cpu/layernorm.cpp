// LayerNormForward, ResidualLayerNormForward: a row at a time, in tiles of rows; the variance in a second
// pass over the row, since E[x^2] - E[x]^2 cancels. LayerNormBackward: the gradient of a row needs two sums
// over it (docs/numerics.md); those of weight and bias are summed within fixed chunks of rows, and the chunks
// in order.
#include <algorithm>
#include <cmath>

#include "cpu/dropout.h"
#include "cpu/ops.h"
#include "cpu/reduce.h"

namespace zhgpt::cpu {
namespace {

constexpr std::int64_t kRows = 32;
constexpr std::int64_t kColumns = 128;

// The operands that both forward operations have.
template <class Real>
struct Normalise {
  Real *out, *mean, *rstd;
  const Real *weight, *bias;
  std::int64_t C;

  template <class Op>
  explicit Normalise(const Op& op)
      : out(op.out.template as<Real>()),
        mean(op.mean.template as<Real>()),
        rstd(op.rstd.template as<Real>()),
        weight(op.weight.template as<Real>()),
        bias(op.bias.template as<Real>()),
        C(op.out.dim(1)) {}

  void row(std::int64_t n, const Real* x) const {
    constexpr Real kEps = static_cast<Real>(1e-5);
    const Real m = sum_of(x, C) / static_cast<Real>(C);
    const Real s = 1 / std::sqrt(squares_about(x, m, C) / static_cast<Real>(C) + kEps);
    Real* y = out + n * C;
    for (std::int64_t c = 0; c < C; ++c) y[c] = (x[c] - m) * s * weight[c] + bias[c];
    mean[n] = m;
    rstd[n] = s;
  }
};

// One row of the gradient; norm and dnorm are scratch. Not inlined, so that `__restrict` holds and loops
// become vector code.
template <class Real>
[[gnu::noinline]] void backward_row(Real* __restrict dx, Real* __restrict dweight, Real* __restrict dbias,
                                    Real* __restrict norm, Real* __restrict dnorm, const Real* __restrict x,
                                    const Real* __restrict dy, const Real* __restrict weight, Real mean,
                                    Real rstd, std::int64_t C) {
  for (std::int64_t c = 0; c < C; ++c) {
    norm[c] = (x[c] - mean) * rstd;
    dnorm[c] = dy[c] * weight[c];
    dweight[c] += dy[c] * norm[c];
    dbias[c] += dy[c];
  }
  const Real mean_dnorm = sum_of(dnorm, C) / static_cast<Real>(C);
  const Real mean_dnorm_norm = dot_of(dnorm, norm, C) / static_cast<Real>(C);
  for (std::int64_t c = 0; c < C; ++c) dx[c] += rstd * (dnorm[c] - mean_dnorm - norm[c] * mean_dnorm_norm);
}

}  // namespace

template <class Real>
void execute(Context& context, const LayerNormForward& op) {
  const std::int64_t N = op.out.dim(0), C = op.out.dim(1);
  const Normalise<Real> normalise(op);
  const Real* inp = op.inp.as<Real>();
  context.pool.for_each_tile(tiles_of(N, kRows), [&](std::int64_t tile, int) {
    const Tile rows(tile, kRows, N);
    for (std::int64_t n = rows.begin; n < rows.begin + rows.count; ++n) normalise.row(n, inp + n * C);
  });
}

template <class Real>
void execute(Context& context, const ResidualLayerNormForward& op) {
  const std::int64_t N = op.out.dim(0), C = op.out.dim(1);
  const Normalise<Real> normalise(op);
  const Real *inp = op.inp.as<Real>(), *branch = op.branch.as<Real>();
  Real* residual = op.residual.as<Real>();
  const DropoutMask mask(op.dropout);
  context.pool.for_each_tile(tiles_of(N, kRows), [&](std::int64_t tile, int) {
    const Tile rows(tile, kRows, N);
    for (std::int64_t n = rows.begin; n < rows.begin + rows.count; ++n) {
      Real* r = residual + n * C;
      std::copy_n(branch + n * C, C, r);
      mask.apply(r, n * C, C);
      const Real* x = inp + n * C;
      for (std::int64_t c = 0; c < C; ++c) r[c] += x[c];
      normalise.row(n, r);
    }
  });
}

template <class Real>
void execute(Context& context, const LayerNormBackward& op) {
  const std::int64_t N = op.dinp.dim(0), C = op.dinp.dim(1), chunks = tiles_of(N, kRows);
  const Real *inp = op.inp.as<Real>(), *dout = op.dout.as<Real>(), *weight = op.weight.as<Real>();
  const Real *mean = op.mean.as<Real>(), *rstd = op.rstd.as<Real>();
  Real* dinp = op.dinp.as<Real>();
  Real* partial =
      context.shared.get<Real>(chunks * 2 * C);  // (chunks, 2, C): dweight and dbias of each chunk

  context.reserve<Real>(2 * C);
  context.pool.for_each_tile(chunks, [&](std::int64_t chunk, int thread) {
    const Tile rows(chunk, kRows, N);
    Real *dweight = partial + chunk * 2 * C, *dbias = dweight + C;
    std::fill_n(dweight, 2 * C, Real{0});
    Real *norm = context.scratch<Real>(thread, 2 * C), *dnorm = norm + C;
    for (std::int64_t n = rows.begin; n < rows.begin + rows.count; ++n) {
      backward_row(dinp + n * C, dweight, dbias, norm, dnorm, inp + n * C, dout + n * C, weight, mean[n],
                   rstd[n], C);
    }
  });
  context.pool.for_each_tile(tiles_of(C, kColumns), [&](std::int64_t tile, int) {
    const Tile columns(tile, kColumns, C);
    for (const auto& [into, which] :
         {std::pair{op.dweight.as<Real>(), 0}, std::pair{op.dbias.as<Real>(), 1}}) {
      Real sum[kColumns] = {};
      for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
        const Real* part = partial + (2 * chunk + which) * C + columns.begin;
        for (std::int64_t c = 0; c < columns.count; ++c) sum[c] += part[c];
      }
      for (std::int64_t c = 0; c < columns.count; ++c) into[columns.begin + c] += sum[c];
    }
  });
}

ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(LayerNormForward)
ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(ResidualLayerNormForward)
ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(LayerNormBackward)

}  // namespace zhgpt::cpu
