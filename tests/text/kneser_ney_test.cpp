// The 5-gram beside its definition, worked out from all that was read, and beside figures by hand.
#include <cmath>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "text/kneser_ney.h"

namespace zhgpt {
namespace {

using Sequence = std::vector<std::int32_t>;

// Interpolated Kneser-Ney by counting sets. A sequence at the very beginning has nothing before it, which
// counts as one more thing that can stand there.
class Plain {
 public:
  Plain(Sequence text, double vocab_size) : text_(std::move(text)), vocab_size_(vocab_size) {
    for (std::size_t order = 1; order <= 5; ++order) {
      for (std::size_t end = order; end <= text_.size(); ++end) {
        const Sequence found(at(end - order), at(end));
        if (order == 5 || end == order) ++counts_[found];
        if (order < 5 && end > order) before_[found].insert(*(at(end - order) - 1));
      }
    }
    for (const auto& [sequence, tokens] : before_) counts_[sequence] += static_cast<double>(tokens.size());
  }

  double probability(const Sequence& context, std::int32_t x) const {
    if (context.empty()) return from(context, x, 1 / vocab_size_);
    return from(context, x, probability(Sequence(context.begin() + 1, context.end()), x));
  }
  double of_next(std::int32_t x) const {
    return probability(Sequence(at(text_.size() - std::min<std::size_t>(4, text_.size())), text_.end()), x);
  }

 private:
  Sequence::const_iterator at(std::size_t i) const { return text_.begin() + static_cast<std::ptrdiff_t>(i); }
  double from(const Sequence& context, std::int32_t x, double shorter) const {
    double total = 0, kinds = 0, count = 0, once = 0, twice = 0;
    for (const auto& [sequence, n] : counts_) {
      if (sequence.size() != context.size() + 1) continue;
      once += n == 1;
      twice += n == 2;
      if (!std::equal(context.begin(), context.end(), sequence.begin())) continue;
      total += n;
      ++kinds;
      if (sequence.back() == x) count = n;
    }
    if (total == 0) return shorter;
    const double d = (once + 1) / (once + 2 * twice + 2);
    return (std::max(count - d, 0.0) + d * kinds * shorter) / total;
  }

  Sequence text_;
  double vocab_size_;
  std::map<Sequence, double> counts_;
  std::map<Sequence, std::set<std::int32_t>> before_;
};

Sequence random_text(std::size_t count, std::uint32_t kinds) {
  Sequence text;
  std::uint32_t state = 7;
  for (std::size_t i = 0; i < count; ++i) {
    state = state * 1664525 + 1013904223;
    text.push_back(static_cast<std::int32_t>((state >> 16) % kinds));
  }
  return text;
}

TEST(KneserNey, ByItsDefinition) {
  for (const std::uint32_t kinds : {2u, 5u}) {
    KneserNey model(kinds);
    Sequence read;
    for (const std::int32_t next : random_text(120, kinds)) {
      const Plain plain(read, kinds);
      for (std::int32_t x = 0; x < static_cast<std::int32_t>(kinds); ++x) {
        ASSERT_NEAR(model.probability(x), plain.of_next(x), 1e-12) << read.size() << " " << x;
      }
      model.learn(next);
      read.push_back(next);
    }
  }
}

// a a, of V = 2: a alone counts 1 + 1 before it = 2 (the beginning, and a), so D_1 = 1/4; a a counts 1, D_2 =
// 2/3. p_1(a) = (2 - 1/4 + 1/4 / 2) / 2; p(a|a) = (1 - 2/3 + 2/3 p_1) / 1.
TEST(KneserNey, ByHand) {
  KneserNey model(2);
  EXPECT_EQ(model.probability(0), 0.5);
  model.learn(0);
  model.learn(0);
  const double alone = (2 - 0.25 + 0.25 / 2) / 2;
  EXPECT_DOUBLE_EQ(model.probability(0), 1.0 / 3 + 2.0 / 3 * alone);
}

TEST(KneserNey, SumsToOneAndNothingIsImpossible) {
  const std::int32_t V = 300;
  KneserNey model(V);
  for (const std::int32_t x : random_text(5000, 200)) model.learn(x);
  double sum = 0;
  for (std::int32_t x = 0; x < V; ++x) {
    EXPECT_GT(model.probability(x), 0);
    sum += model.probability(x);
  }
  EXPECT_NEAR(sum, 1, 1e-9);
}

}  // namespace
}  // namespace zhgpt
