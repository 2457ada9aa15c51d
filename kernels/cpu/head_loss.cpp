// HeadLoss: logits, softmax cross-entropy and its whole backward, the vocabulary in chunks.
//
// A chunk of the weights stays in the second-level cache while the rows go by: their logits against it become
// e = exp(logits - m_c), m_c the row's largest logit in the chunk, and at once dinp = dinp exp(m - m') + (e .
// W_c) exp(m_c - m') with m' = max(m, m_c), as in online softmax (M. Milakov, N. Gimelshein, 2018). Only when
// a row has seen all chunks is its sum known; dweight then takes in the e that were kept, with what is
// missing, scale / sum * exp(m_c - m), multiplied onto the few columns of inp instead of the many of e. So
// the weights and the kept e each go through memory once. The one-hot part of the gradient is added last.
//
// Rows go in groups whose e take 20 MiB in float, cut evenly. Groups follow each other in order, so every
// element of dweight has one order of additions.
#include <algorithm>
#include <cmath>

#include "cpu/gemm.h"
#include "cpu/math.h"
#include "cpu/ops.h"
#include "cpu/reduce.h"
#include "zhgpt/error.h"

namespace zhgpt::cpu {
namespace {

constexpr std::int64_t kRows = 24, kRowsOfWeight = 96;  // that a tile of the products takes
constexpr std::int64_t kGroupLogits = std::int64_t{5} << 20;
constexpr std::int64_t kChunkWeights = std::int64_t{15} << 13;  // packed twice: just below 1 MiB in float

std::int64_t rows_of_a_group(std::int64_t N, std::int64_t V) {
  const std::int64_t most = std::max<std::int64_t>(1, kGroupLogits / (V * kRows)) * kRows;
  return tiles_of(tiles_of(N, tiles_of(N, most)), kRows) * kRows;
}
std::int64_t chunk_of_vocabulary(std::int64_t C) {
  return std::max(kColumnStep, kChunkWeights / C / kColumnStep * kColumnStep);
}

void check_targets(const std::int32_t* targets, std::int64_t N, std::int64_t V) {
  for (std::int64_t n = 0; n < N; ++n) {
    if (targets[n] >= V) {
      throw ConfigError("HeadLoss: targets[" + std::to_string(n) + "]: got " + std::to_string(targets[n]) +
                        ", expected below V = " + std::to_string(V));
    }
  }
}

// One call of the operation: its operands, and memory that all threads share.
template <class Real>
class Head {
 public:
  Head(Context& context, const HeadLoss& op)
      : context_(context),
        N_(op.inp.dim(0)),
        C_(op.inp.dim(1)),
        V_(op.weight.dim(0)),
        group_(rows_of_a_group(N_, V_)),
        chunk_(std::min(V_, chunk_of_vocabulary(C_))),
        chunks_(tiles_of(V_, chunk_)),
        inp_(op.inp.as<Real>()),
        weight_(op.weight.as<Real>()),
        targets_(op.targets.as<std::int32_t>()),
        losses_(op.losses.as<Real>()),
        ranks_(op.ranks ? op.ranks.as<std::int32_t>() : nullptr),
        dinp_(op.dinp ? op.dinp.as<Real>() : nullptr),
        dweight_(op.dinp ? op.dweight.as<Real>() : nullptr),
        scale_(static_cast<Real>(op.scale)) {
    check_targets(targets_, N_, V_);
    const std::int64_t for_logits = PackedMatrix<Real>::size(C_, chunk_),
                       for_dinp = std::max(PackedMatrix<Real>::size(chunk_, C_),
                                           PackedMatrix<Real>::size(group_, C_));
    packed_logits_ = context_.shared.get<Real>(for_logits + for_dinp + group_ * (3 + 2 * chunks_ + C_ + V_));
    packed_ = packed_logits_ + for_logits;
    kept_ = packed_ + for_dinp;
    scaled_inp_ = kept_ + group_ * V_;
    chunk_most_ = scaled_inp_ + group_ * C_;
    chunk_sum_ = chunk_most_ + group_ * chunks_;
    most_ = chunk_sum_ + group_ * chunks_;
    factor_ = most_ + group_;
    at_target_ = factor_ + group_;
    context_.reserve<Real>(scratch_size());
  }

  void run() {
    for (begin_ = 0; begin_ < N_; begin_ += group_) {
      rows_ = std::min(group_, N_ - begin_);
      for (std::int64_t c = 0; c < chunks_; ++c) take_in(c);
      finish_rows();
      if (!dinp_) continue;
      for (std::int64_t c = 0; c < chunks_; ++c) add_dweight(c);
    }
  }

 private:
  std::int64_t scratch_size() const { return std::max(kRows * C_, chunk_); }
  // (rows of the group, v.count): e, or logits
  Real* kept(const Tile& v) const { return kept_ + group_ * v.begin; }

  void pack(PackedMatrix<Real> matrix, Operand<Real> from) {
    context_.pool.for_each_tile(matrix.pieces(from.layout),
                                [&](std::int64_t piece, int) { matrix.pack_piece(piece, from); });
  }
  template <class F>
  void for_each_rows(const F& f) {  // f(rows, thread's scratch)
    context_.pool.for_each_tile(tiles_of(rows_, kRows), [&](std::int64_t tile, int thread) {
      f(Tile(tile, kRows, rows_), context_.template scratch<Real>(thread, scratch_size()));
    });
  }

  // All rows of the group against chunk c of the vocabulary.
  void take_in(std::int64_t c) {
    const Tile v(c, chunk_, V_);
    const PackedMatrix<Real> for_logits(packed_logits_, C_, v.count), for_dinp(packed_, v.count, C_);
    pack(for_logits, {weight_ + v.begin * C_, C_, Layout::columns});
    if (dinp_) pack(for_dinp, {weight_ + v.begin * C_, C_});
    for_each_rows([&](const Tile& rows, Real* part) {  // part: (rows, C), or (v.count)
      Real* e = kept(v) + rows.begin * v.count;
      multiply(rows.count, {inp_ + (begin_ + rows.begin) * C_, C_}, for_logits, e, v.count, Sum::overwrite);
      for (std::int64_t r = 0; r < rows.count; ++r) {
        Real* x = e + r * v.count;
        if (ranks_) x = std::copy_n(x, v.count, part) - v.count;  // the logits stay, to be counted
        exponentials(rows.begin + r, c, v, x);
      }
      if (dinp_) multiply(rows.count, {e, v.count}, for_dinp, part, C_, Sum::overwrite);
      for (std::int64_t r = 0; r < rows.count; ++r) merge(rows.begin + r, c, part + r * C_);
    });
  }

  // Row r's logits of the chunk become e.
  void exponentials(std::int64_t r, std::int64_t c, const Tile& v, Real* x) {
    const std::int64_t target = targets_[begin_ + r] - v.begin;
    if (target >= 0 && target < v.count) at_target_[r] = x[target];
    const Real most = max_of(x, v.count);
    chunk_most_[c * group_ + r] = most;
    chunk_sum_[c * group_ + r] = exponentials_of(x, most, v.count);
  }

  // Row r of dinp takes in `part` = e . W_c of chunk c.
  void merge(std::int64_t r, std::int64_t c, const Real* part) {
    const Real most = chunk_most_[c * group_ + r], before = c == 0 ? most : most_[r],
               now = std::max(before, most);
    most_[r] = now;
    if (!dinp_) return;
    Real* dinp = dinp_ + (begin_ + r) * C_;
    if (c == 0) {
      std::copy_n(part, C_, dinp);
      return;
    }
    const Real old_factor = exp_of(before - now), new_factor = exp_of(most - now);
    for (std::int64_t i = 0; i < C_; ++i) dinp[i] = dinp[i] * old_factor + part[i] * new_factor;
  }

  // The losses of the group, and dinp, now that every row has seen the whole vocabulary.
  void finish_rows() {
    for_each_rows([&](const Tile& rows, Real*) {
      for (std::int64_t r = rows.begin; r < rows.begin + rows.count; ++r) {
        const std::int64_t n = begin_ + r, target = targets_[n];
        Real sum = 0;
        for (std::int64_t c = 0; c < chunks_; ++c) {
          sum += chunk_sum_[c * group_ + r] * exp_of(chunk_most_[c * group_ + r] - most_[r]);
        }
        losses_[n] = target < 0 ? 0 : most_[r] + std::log(sum) - at_target_[r];
        if (ranks_) {
          const bool has_rank = target >= 0 && std::isfinite(losses_[n]);
          ranks_[n] = static_cast<std::int32_t>(has_rank ? rank(r, target) : V_);
        }
        factor_[r] = target < 0 ? 0 : scale_ / sum;
        if (!dinp_) continue;
        Real* dinp = dinp_ + n * C_;
        if (target < 0) {
          std::fill_n(dinp, C_, Real{0});
        } else {
          const Real* w = weight_ + target * C_;
          for (std::int64_t i = 0; i < C_; ++i) dinp[i] = dinp[i] * factor_[r] - scale_ * w[i];
        }
      }
    });
  }

  // How many of row r's logits are larger than its target's, or as large and before it.
  std::int64_t rank(std::int64_t r, std::int64_t target) const {
    std::int64_t ahead = 0;
    for (std::int64_t c = 0; c < chunks_; ++c) {
      const Tile v(c, chunk_, V_);
      const Real* x = kept(v) + r * v.count;
      const std::int64_t before = std::clamp<std::int64_t>(target - v.begin, 0, v.count);
      for (std::int64_t i = 0; i < before; ++i) ahead += x[i] >= at_target_[r];
      for (std::int64_t i = before; i < v.count; ++i) ahead += x[i] > at_target_[r];
    }
    return ahead;
  }

  // dweight += of the rows of chunk c.
  void add_dweight(std::int64_t c) {
    const Tile v(c, chunk_, V_);
    for_each_rows([&](const Tile& rows, Real*) {
      for (std::int64_t r = rows.begin; r < rows.begin + rows.count; ++r) {
        const Real factor = factor_[r] * exp_of(chunk_most_[c * group_ + r] - most_[r]);
        const Real* x = inp_ + (begin_ + r) * C_;
        for (std::int64_t i = 0; i < C_; ++i) scaled_inp_[r * C_ + i] = factor * x[i];
      }
    });
    const PackedMatrix<Real> scaled(packed_, rows_, C_);
    pack(scaled, {scaled_inp_, C_});
    context_.pool.for_each_tile(tiles_of(v.count, kRowsOfWeight), [&](std::int64_t tile, int) {
      const Tile part(tile, kRowsOfWeight, v.count);
      const std::int64_t first = v.begin + part.begin;
      multiply(part.count, {kept(v) + part.begin, v.count, Layout::columns}, scaled, dweight_ + first * C_,
               C_, Sum::add);
      for (std::int64_t r = 0; r < rows_; ++r) {
        const std::int64_t target = targets_[begin_ + r];
        if (target < first || target >= first + part.count) continue;
        const Real* x = inp_ + (begin_ + r) * C_;
        for (std::int64_t i = 0; i < C_; ++i) dweight_[target * C_ + i] -= scale_ * x[i];
      }
    });
  }

  Context& context_;
  const std::int64_t N_, C_, V_;
  const std::int64_t group_, chunk_, chunks_;
  const Real *inp_, *weight_;
  const std::int32_t* targets_;
  Real* losses_;
  std::int32_t* ranks_;
  Real *dinp_, *dweight_;
  const Real scale_;

  std::int64_t begin_ = 0, rows_ = 0;  // of the group at hand
  Real *packed_logits_, *packed_;      // a chunk of the weights, or the scaled rows of inp
  Real *most_, *factor_, *at_target_;  // (group): largest logit so far, scale / sum, logit of the target
  Real *chunk_most_, *chunk_sum_;      // (chunks, group)
  Real *scaled_inp_, *kept_;           // (group, C), and e: (group, V) chunk by chunk
};

}  // namespace

template <class Real>
void execute(Context& context, const HeadLoss& op) {
  Head<Real>(context, op).run();
}

ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(HeadLoss)

}  // namespace zhgpt::cpu
