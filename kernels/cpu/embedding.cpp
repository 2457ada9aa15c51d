// EmbeddingForward: out[b,t,:] = dropout(wte[inputs[b,t],:] + wpe[t,:]), in tiles of rows.
// EmbeddingBackward: adds dout to the rows of dwte and dwpe. Tiles are columns and each goes through all rows
// in order, so every element has one writer and one order of additions; no sorting by token is needed.
#include <algorithm>

#include "cpu/dropout.h"
#include "cpu/ops.h"
#include "zhgpt/error.h"

namespace zhgpt::cpu {
namespace {

constexpr std::int64_t kRows = 64;
constexpr std::int64_t kColumns = 64;

// An id beyond the table would read or write foreign memory; the tokenizer and the model must agree on V.
void check_ids(const char* op, const std::int32_t* ids, std::int64_t count, std::int64_t V) {
  for (std::int64_t i = 0; i < count; ++i) {
    if (ids[i] < 0 || ids[i] >= V) {
      throw ConfigError(std::string(op) + ": inputs[" + std::to_string(i) + "]: got " +
                        std::to_string(ids[i]) + ", expected 0 <= id < V = " + std::to_string(V));
    }
  }
}

}  // namespace

template <class Real>
void execute(Context& context, const EmbeddingForward& op) {
  const std::int64_t T = op.out.dim(1), C = op.out.dim(2), N = op.out.dim(0) * T;
  const auto* ids = op.inputs.as<std::int32_t>();
  const Real *wte = op.wte.as<Real>(), *wpe = op.wpe.as<Real>();
  Real* out = op.out.as<Real>();
  check_ids("EmbeddingForward", ids, N, op.wte.dim(0));
  const DropoutMask mask(op.dropout);
  context.pool.for_each_tile(tiles_of(N, kRows), [&](std::int64_t tile, int) {
    const Tile rows(tile, kRows, N);
    for (std::int64_t n = rows.begin; n < rows.begin + rows.count; ++n) {
      const Real *token = wte + ids[n] * C, *position = wpe + n % T * C;
      Real* row = out + n * C;
      for (std::int64_t c = 0; c < C; ++c) row[c] = token[c] + position[c];
      mask.apply(row, n * C, C);
    }
  });
}

template <class Real>
void execute(Context& context, const EmbeddingBackward& op) {
  const std::int64_t T = op.dout.dim(1), C = op.dout.dim(2), N = op.dout.dim(0) * T;
  const auto* ids = op.inputs.as<std::int32_t>();
  const Real* dout = op.dout.as<Real>();
  Real *dwte = op.dwte.as<Real>(), *dwpe = op.dwpe.as<Real>();
  check_ids("EmbeddingBackward", ids, N, op.dwte.dim(0));
  const DropoutMask mask(op.dropout);
  context.pool.for_each_tile(tiles_of(C, kColumns), [&](std::int64_t tile, int) {
    const Tile columns(tile, kColumns, C);
    Real d[kColumns];
    for (std::int64_t n = 0; n < N; ++n) {
      std::copy_n(dout + n * C + columns.begin, columns.count, d);
      mask.apply(d, n * C + columns.begin, columns.count);
      Real *token = dwte + ids[n] * C + columns.begin, *position = dwpe + n % T * C + columns.begin;
      for (std::int64_t c = 0; c < columns.count; ++c) token[c] += d[c];
      for (std::int64_t c = 0; c < columns.count; ++c) position[c] += d[c];
    }
  });
}

ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(EmbeddingForward)
ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(EmbeddingBackward)

}  // namespace zhgpt::cpu
