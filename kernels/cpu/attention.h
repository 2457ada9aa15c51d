// What attention over whole texts and over one token more have in common, so that both give the same bits.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "cpu/gemm.h"
#include "cpu/math.h"
#include "cpu/reduce.h"

namespace zhgpt::cpu {

constexpr std::int64_t kQueries = 32;  // that go together against all keys up to the last of them
// The score of a key that a query must not see: its exponential is 0. Whole rows are computed, hidden keys
// too, since vector code over a whole block costs less than loops of every length.
template <class Real>
constexpr Real kHidden = -std::numeric_limits<Real>::infinity();

// Columns of a row of scores: whole blocks, so that the order of its sum depends on the query's place alone
// and not on how long the text is.
constexpr std::int64_t padded_keys(std::int64_t keys) {
  return (keys + kQueries - 1) / kQueries * kQueries;
}

// scores[0, columns) become softmax(scale * scores) over the first `seen`, 0 behind; returns the log of the
// sum of exponentials.
template <class Real>
Real softmax(Real* scores, std::int64_t seen, std::int64_t columns, Real scale) {
  std::fill(scores + seen, scores + columns, kHidden<Real>);
  const Real most = max_of(scores, columns);
  for (std::int64_t j = 0; j < columns; ++j) scores[j] = exp_of((scores[j] - most) * scale);
  const Real sum = sum_of(scores, columns), inverse = 1 / sum;
  for (std::int64_t j = 0; j < columns; ++j) scores[j] *= inverse;
  return most * scale + std::log(sum);
}

// What a thread needs for one block of queries against up to T keys.
template <class Real>
struct Workspace {
  static std::int64_t size(std::int64_t T, std::int64_t HS) {
    return 2 * kQueries * padded_keys(T) + packed(T, HS);
  }
  static std::int64_t packed(std::int64_t T, std::int64_t HS) {
    return std::max({PackedMatrix<Real>::size(HS, T), PackedMatrix<Real>::size(T, HS),
                     PackedMatrix<Real>::size(kQueries, HS)});
  }
  // The packed operand comes first: a product also fetches what lies behind it, which must not be another
  // thread's.
  Workspace(Real* memory, std::int64_t T, std::int64_t HS)
      : scores(memory + packed(T, HS)), dscores(scores + kQueries * padded_keys(T)), packed_(memory) {}

  // c (m, n) = or += a (m, k) . b (k, n)
  void product(std::int64_t m, std::int64_t n, std::int64_t k, Operand<Real> a, Operand<Real> b, Real* c,
               std::int64_t c_stride, Sum sum) const {
    PackedMatrix<Real> packed_b(packed_, k, n);
    packed_b.pack(b);
    multiply(m, a, packed_b, c, c_stride, sum);
  }

  Real *scores, *dscores;  // (kQueries, padded_keys)

 private:
  Real* packed_;
};

}  // namespace zhgpt::cpu
