// A 5-gram with interpolated Kneser-Ney smoothing (R. Kneser, H. Ney, 1995; S. Chen, J. Goodman, 1998), which
// learns as it reads.
//
// p_k(x|c) = (max(n(cx) - D_k, 0) + D_k t(c) p_k-1(x|c')) / n(c), t(c) the number of different tokens seen
// after c, c' all of c but its first token, p_0 = 1/V. In the longest context n counts occurrences; in
// shorter ones each cx counts once for every different token before it, which is why `learn` tells a shorter
// context only what was new to the longer one. D_k = (n1 + 1) / (n1 + 2 n2 + 2), n1 and n2 the numbers of cx
// counted once and twice (H. Ney, U. Essen, R. Kneser, 1994; the ones keep D above 0 and give 1/2 where
// nothing was seen).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace zhgpt {

class KneserNey {
 public:
  static constexpr std::size_t kOrder = 5;

  explicit KneserNey(std::int64_t vocab_size) : vocab_size_(static_cast<double>(vocab_size)) {}

  double probability(std::int32_t x) const;  // of x as the next token; over all x they sum to 1
  void learn(std::int32_t x);

 private:
  // What is known of one sequence of tokens, as itself and as a context.
  struct Entry {
    std::uint64_t key = 0;               // 0: free
    std::uint32_t count = 0;             // n of it
    std::uint32_t total = 0, kinds = 0;  // n(c) and t(c) of it as a context
  };
  // Entries by key, in open addressing. Two sequences with one key of 64 bits would be taken for each other:
  // of ten million in less than one text of a hundred thousand.
  class Table {
   public:
    const Entry* find(std::uint64_t key) const;
    Entry& at(std::uint64_t key);  // made where it is not there

   private:
    std::size_t place(std::uint64_t key) const;
    std::vector<Entry> slots_ = std::vector<Entry>(16);
    std::size_t used_ = 0;
  };
  using Keys = std::array<std::uint64_t, kOrder + 1>;

  Keys context_keys() const;  // of the last 0, 1 … kOrder - 1 tokens
  double discount(std::size_t order) const;

  double vocab_size_;
  std::array<std::int32_t, kOrder - 1> history_{};  // the newest first
  std::size_t known_ = 0;                           // how many of them there are
  std::array<Table, kOrder + 1> tables_;            // by length
  std::array<std::int64_t, kOrder + 1> once_{}, twice_{};
};

}  // namespace zhgpt
