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
// The score of a key that a query must not see: its exponential is 0.
template <class Real>
constexpr Real kHidden = -std::numeric_limits<Real>::infinity();

constexpr std::int64_t whole_blocks(std::int64_t keys) {
  return (keys + kQueries - 1) / kQueries * kQueries;
}

// scores[0, keys) of one query become softmax(scale * scores), and 0 behind up to whole_blocks(keys), so that
// their sum has no tail: the order of a column below.
template <class Real>
void softmax(Real* scores, std::int64_t keys, Real scale) {
  const std::int64_t padded = whole_blocks(keys);
  std::fill(scores + keys, scores + padded, kHidden<Real>);
  const Real most = max_of(scores, padded);
  for (std::int64_t j = 0; j < padded; ++j) scores[j] = exp_of((scores[j] - most) * scale);
  const Real inverse = 1 / sum_of(scores, padded);
  for (std::int64_t j = 0; j < padded; ++j) scores[j] *= inverse;
}

// The same for kQueries queries, whose scores are the columns of (keys, kQueries), and with the same bits: a
// column is added up in the order of sum_of. lse receives the logarithms of the sums of exponentials.
template <class Real>
void softmax_of_columns(Real* __restrict scores, std::int64_t keys, Real scale, Real* __restrict lse) {
  constexpr std::int64_t kLanes = 2 * Lanes<Real>::kCount;
  static_assert(kQueries % kLanes == 0);
  Real most[kQueries], sums[kLanes][kQueries] = {};
  std::fill_n(most, kQueries, kHidden<Real>);
  for (std::int64_t j = 0; j < keys; ++j) {
    const Real* row = scores + j * kQueries;
    for (std::int64_t i = 0; i < kQueries; ++i) most[i] = row[i] > most[i] ? row[i] : most[i];
  }
  for (std::int64_t j = 0; j < keys; ++j) {
    Real *row = scores + j * kQueries, *sum = sums[j % kLanes];
    for (std::int64_t i = 0; i < kQueries; ++i) {
      row[i] = exp_of((row[i] - most[i]) * scale);
      sum[i] += row[i];
    }
  }
  for (std::int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::int64_t lane = 0; lane < half; ++lane) {
      for (std::int64_t i = 0; i < kQueries; ++i) sums[lane][i] += sums[lane + half][i];
    }
  }
  for (std::int64_t i = 0; i < kQueries; ++i) lse[i] = most[i] * scale + std::log(sums[0][i]);
  for (Real& sum : sums[0]) sum = 1 / sum;
  for (std::int64_t j = 0; j < keys; ++j) {
    for (std::int64_t i = 0; i < kQueries; ++i) scores[j * kQueries + i] *= sums[0][i];
  }
}

}  // namespace zhgpt::cpu
