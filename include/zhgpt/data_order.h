// Which piece of the corpus a training sample is: a pure function of (seed, sample number).
//
// An epoch cuts the token stream into `n_windows` windows of `block_size` inputs, starting at a phase that
// differs from epoch to epoch, and visits each exactly once in an order keyed by the epoch. Sample numbers
// run on across epochs and a batch may span two, so every batch is full and resuming means nothing but
// knowing the step.
#pragma once

#include <cstdint>

#include "zhgpt/rng.h"

namespace zhgpt {

struct DataOrder {
  std::uint64_t seed = 0;
  std::int64_t n_tokens = 0;    // length of the token stream; REQUIRES: n_tokens > block_size
  std::int64_t block_size = 0;  // inputs a window; the last target lies one further

  constexpr std::int64_t n_windows() const {
    const std::int64_t whole = (n_tokens - 1) / block_size;
    return whole > 1 ? whole - 1 : 1;  // one window's room is left for the phase
  }
  constexpr std::int64_t epoch_of(std::int64_t sample) const { return sample / n_windows(); }
  // Offset of the first input token of a sample.
  constexpr std::int64_t start(std::int64_t sample) const {
    const std::int64_t n = n_windows();
    const auto epoch = static_cast<std::uint64_t>(sample / n);
    const auto phases = static_cast<std::uint64_t>(n_tokens - 1 - n * block_size + 1);
    const PhiloxBlock r = random_block(seed, RandomStream::data_order, epoch, 0xFFFFFFu, 0);
    const auto phase = static_cast<std::int64_t>(uniform_below(r[0], r[1], phases));
    const Permutation order(seed, epoch, static_cast<std::uint64_t>(n));
    return phase + block_size * static_cast<std::int64_t>(order(static_cast<std::uint64_t>(sample % n)));
  }
};

}  // namespace zhgpt
