// HeadLoss: logits, softmax cross-entropy and its whole backward in one pass over groups of rows.
//
// A tile is 96 rows: their logits (96, V) stay in the cache while softmax turns them into dlogits in place
// and dinp is made of them. A group is as many tiles as 16 MiB of logits hold (in float), cut evenly; when it
// is done, dweight takes it in by tiles of V. Groups follow each other in order, so every element of dweight
// has one order of additions.
#include <algorithm>
#include <cmath>

#include "cpu/blas.h"
#include "cpu/math.h"
#include "cpu/ops.h"
#include "cpu/reduce.h"
#include "zhgpt/error.h"

namespace zhgpt::cpu {
namespace {

constexpr std::int64_t kRows = 96;
constexpr std::int64_t kVocabulary = 1024;
constexpr std::int64_t kGroupLogits = std::int64_t{4} << 20;

std::int64_t rows_of_a_group(std::int64_t N, std::int64_t V) {
  const std::int64_t most = std::max<std::int64_t>(1, kGroupLogits / (V * kRows)) * kRows;
  return tiles_of(tiles_of(N, tiles_of(N, most)), kRows) * kRows;
}

void check_targets(const std::int32_t* targets, std::int64_t N, std::int64_t V) {
  for (std::int64_t n = 0; n < N; ++n) {
    if (targets[n] >= V) {
      throw ConfigError("HeadLoss: targets[" + std::to_string(n) + "]: got " + std::to_string(targets[n]) +
                        ", expected below V = " + std::to_string(V));
    }
  }
}

// The loss of a row of logits, which becomes exp(logits - most); `sum` is their sum.
template <class Real>
Real softmax_loss(Real* x, std::int64_t V, std::int32_t target, Real& sum) {
  const Real at_target = x[target], most = max_of(x, V);
  for (std::int64_t i = 0; i < V; ++i) x[i] = exp_of(x[i] - most);
  sum = sum_of(x, V);
  return most + std::log(sum) - at_target;
}

}  // namespace

template <class Real>
void execute(Context& context, const HeadLoss& op) {
  const std::int64_t N = op.inp.dim(0), C = op.inp.dim(1), V = op.weight.dim(0),
                     group = rows_of_a_group(N, V);
  const Real *inp = op.inp.as<Real>(), *weight = op.weight.as<Real>();
  const auto* targets = op.targets.as<std::int32_t>();
  Real* losses = op.losses.as<Real>();
  const bool training = static_cast<bool>(op.dinp);
  const Real scale = static_cast<Real>(op.scale);
  check_targets(targets, N, V);
  if (!training) context.reserve<Real>(kRows * V);
  Real* kept = training ? context.shared.get<Real>(std::min(N, group) * V) : nullptr;

  for (std::int64_t first = 0; first < N; first += group) {
    const std::int64_t in_group = std::min(group, N - first);
    context.pool.for_each_tile(tiles_of(in_group, kRows), [&](std::int64_t tile, int thread) {
      const Tile rows(tile, kRows, in_group);
      const std::int64_t begin = first + rows.begin;
      Real* logits = training ? kept + rows.begin * V : context.scratch<Real>(thread, kRows * V);
      gemm<Real>(Transposed::b, rows.count, V, C, 1, {inp + begin * C, C}, {weight, C}, 0, {logits, V});
      for (std::int64_t r = 0; r < rows.count; ++r) {
        Real* x = logits + r * V;
        const std::int32_t target = targets[begin + r];
        if (target < 0) {
          losses[begin + r] = 0;
          if (training) std::fill_n(x, V, Real{0});
          continue;
        }
        Real sum;
        losses[begin + r] = softmax_loss(x, V, target, sum);
        if (!training) continue;
        const Real factor = scale / sum;
        for (std::int64_t i = 0; i < V; ++i) x[i] *= factor;
        x[target] -= scale;
      }
      if (!training) return;
      gemm<Real>(Transposed::neither, rows.count, C, V, 1, {logits, V}, {weight, C}, 0,
                 {op.dinp.as<Real>() + begin * C, C});
    });
    if (!training) continue;
    context.pool.for_each_tile(tiles_of(V, kVocabulary), [&](std::int64_t tile, int) {
      const Tile part(tile, kVocabulary, V);
      gemm<Real>(Transposed::a, part.count, C, in_group, 1, {kept + part.begin, V}, {inp + first * C, C}, 1,
                 {op.dweight.as<Real>() + part.begin * C, C});
    });
  }
}

ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(HeadLoss)

}  // namespace zhgpt::cpu
