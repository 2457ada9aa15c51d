// Counter-based randomness: every random number is a pure function of (seed, what it is for, where it is).
//
// Philox4x32-10: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3",
// SC'11. There is no generator state, so there is nothing to save in a checkpoint, and results do not depend
// on how many threads draw. All functions are constexpr, so CPU code, CUDA kernels and tests share this one
// source.
#pragma once

#include <array>
#include <cstdint>

namespace zhgpt {

// What a number is for. DO NOT CHANGE OR REUSE THESE VALUES: a resumed run must draw the same numbers.
enum class RandomStream : std::uint32_t { init = 1, data_order = 2, dropout = 3, sampling = 5, split = 6 };

using PhiloxBlock = std::array<std::uint32_t, 4>;

constexpr PhiloxBlock philox4x32_10(PhiloxBlock counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
               static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

// Four numbers at a place: `step` (training step, epoch or position), `site` (tensor, layer or micro-step;
// below 2^24) and `index` (the four-element block within it). This layout of the counter is part of the
// resume contract.
constexpr PhiloxBlock random_block(std::uint64_t seed, RandomStream stream, std::uint64_t step,
                                   std::uint32_t site, std::uint64_t index) {
  return philox4x32_10(
      {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(step),
       (static_cast<std::uint32_t>(stream) << 24) | (site & 0xFFFFFFu),
       static_cast<std::uint32_t>(index >> 32) ^ static_cast<std::uint32_t>(step >> 32) << 16},
      {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
}

// Uniform in [0, 1) with 24 bits: exact in float.
constexpr float uniform_float(std::uint32_t bits) {
  return static_cast<float>(bits >> 8) * 0x1p-24f;
}

// Uniform in [0, n) from 64 random bits; the bias is below n / 2^64. REQUIRES: n > 0.
constexpr std::uint64_t uniform_below(std::uint32_t hi, std::uint32_t lo, std::uint64_t n) {
  const unsigned __int128 wide = ((static_cast<unsigned __int128>(hi) << 32) | lo) * n;
  return static_cast<std::uint64_t>(wide >> 64);
}

// A keyed bijection of [0, n): the order in which an epoch visits its windows, with O(1) access to any place.
// A balanced Feistel network over the next even number of bits, walked until it lands inside ("cycle
// walking": J. Black, P. Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002): under four tries on
// average.
class Permutation {
 public:
  constexpr Permutation(std::uint64_t seed, std::uint64_t epoch, std::uint64_t n)
      : seed_(seed), epoch_(epoch), n_(n) {
    while (half_bits_ < 31 && (std::uint64_t{1} << (2 * half_bits_)) < n_) ++half_bits_;
  }
  // REQUIRES: i < n.
  constexpr std::uint64_t operator()(std::uint64_t i) const {
    do i = encrypt(i);
    while (i >= n_);
    return i;
  }

 private:
  constexpr std::uint64_t encrypt(std::uint64_t x) const {
    const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
    std::uint64_t left = x >> half_bits_, right = x & mask;
    for (std::uint32_t round = 0; round < 6; ++round) {
      const std::uint64_t mixed =
          random_block(seed_, RandomStream::data_order, epoch_, round, right)[0] & mask;
      const std::uint64_t next = left ^ mixed;
      left = right;
      right = next;
    }
    return left << half_bits_ | right;
  }
  std::uint64_t seed_, epoch_, n_;
  int half_bits_ = 1;
};

}  // namespace zhgpt
