// AttentionDecode: the last row of causal attention, from a cache; each row of the batch for itself.
#include "support/device.h"
#include "support/fill.h"
#include "support/reference_ops.h"

namespace zhgpt::test {
namespace {

struct Case {
  Index S, NH, HS;
  std::vector<std::int32_t> lengths;
};
// Head sizes for each spread over lanes and for none; lengths 0, odd, full, and beyond one and two splits.
const Case kCases[] = {{1, 1, 1, {0}},
                       {9, 3, 7, {0, 8, 5}},
                       {70, 2, 16, {69, 1}},
                       {130, 2, 64, {127, 3}},
                       {40, 1, 96, {39}},
                       {33, 1, 128, {32, 0}},
                       {65, 2, 33, {64}},
                       {24, 1, 200, {23}},
                       {20, 1, 256, {17, 19}},
                       {600, 1, 32, {511, 599, 512, 100}},
                       {1100, 1, 8, {1024, 1099}}};

class AttentionDecodeTest : public OnDevice {
 protected:
  // What lies in a cache before: everything random, also behind the lengths, where nothing may be read of it.
  struct Inputs {
    Values<double> qkv, k_cache, v_cache;
  };
  static Inputs inputs(const Case& c) {
    const Index B = static_cast<Index>(c.lengths.size());
    Inputs in{random_reals(B * 3 * c.NH * c.HS, 1, 2), random_reals(B * c.NH * c.S * c.HS, 2, 2),
              random_reals(B * c.NH * c.S * c.HS, 3)};
    for (Index b = 0; b < B; ++b)
      for (Index h = 0; h < c.NH; ++h)
        for (Index i = at(c.lengths, b) * c.HS; i < c.S * c.HS; ++i) {
          at(in.k_cache, (b * c.NH + h) * c.S * c.HS + i) = kNaN;
          at(in.v_cache, (b * c.NH + h) * c.S * c.HS + i) = kNaN;
        }
    return in;
  }
  struct Result {
    Tensor out, k_cache, v_cache;
  };
  // `offset`: elements by which all operands miss their alignment.
  Result run_decode(const Inputs& in, const Case& c, Index offset = 0) {
    const Index B = static_cast<Index>(c.lengths.size());
    const auto place = [&](Values<double> values, std::initializer_list<Index> shape) {
      values.insert(values.begin(), static_cast<std::size_t>(offset), kNaN);
      const Tensor room = bench().reals(values, {static_cast<Index>(values.size())});
      return Tensor(static_cast<char*>(room.data) + offset * dtype_bytes(room.dtype), room.dtype, shape);
    };
    Result r{bench().unset({B, c.NH, c.HS}), place(in.k_cache, {B, c.NH, c.S, c.HS}),
             place(in.v_cache, {B, c.NH, c.S, c.HS})};
    bench().run(AttentionDecode{r.out, r.k_cache, r.v_cache, place(in.qkv, {B, 3, c.NH, c.HS}),
                                bench().ints(c.lengths, {B})});
    return r;
  }
};

// The last row of attention over the cache and the new token.
Values<double> expected(const Values<double>& qkv, const Values<double>& k_cache,
                        const Values<double>& v_cache, const Case& c) {
  Values<double> out;
  for (Index b = 0; b < static_cast<Index>(c.lengths.size()); ++b)
    for (Index h = 0; h < c.NH; ++h) {
      const Index length = at(c.lengths, b);
      const auto fresh = [&](Index which, Index i) {
        return at(qkv, ((b * 3 + which) * c.NH + h) * c.HS + i);
      };
      Values<double> scores;
      double largest = -INFINITY, sum = 0;
      const auto entry = [&](const Values<double>& cache, Index which, Index s, Index i) {
        return s == length ? fresh(which, i) : at(cache, ((b * c.NH + h) * c.S + s) * c.HS + i);
      };
      for (Index s = 0; s <= length; ++s) {
        double score = 0;
        for (Index i = 0; i < c.HS; ++i) score += fresh(0, i) * entry(k_cache, 1, s, i);
        scores.push_back(score / std::sqrt(static_cast<double>(c.HS)));
        largest = std::max(largest, scores.back());
      }
      for (double& score : scores) sum += score = std::exp(score - largest);
      for (Index i = 0; i < c.HS; ++i) {
        double value = 0;
        for (Index s = 0; s <= length; ++s) value += at(scores, s) / sum * entry(v_cache, 2, s, i);
        out.push_back(value);
      }
    }
  return out;
}

// The caches with the new keys (which = 1) or values (2) at their places.
Values<double> grown(Values<double> cache, const Values<double>& qkv, Index which, const Case& c) {
  for (Index b = 0; b < static_cast<Index>(c.lengths.size()); ++b)
    for (Index h = 0; h < c.NH; ++h)
      for (Index i = 0; i < c.HS; ++i) {
        at(cache, ((b * c.NH + h) * c.S + at(c.lengths, b)) * c.HS + i) =
            at(qkv, ((b * 3 + which) * c.NH + h) * c.HS + i);
      }
  return cache;
}

void expect_same(const Values<double>& got, const Values<double>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_TRUE(got[i] == want[i] || (std::isnan(got[i]) && std::isnan(want[i]))) << i;
  }
}

TEST_P(AttentionDecodeTest, IsTheLastRowAndGrowsTheCache) {
  for (const Case& c : kCases) {
    const Inputs in = inputs(c);
    for (const Index offset : {0, 1}) {
      SCOPED_TRACE("S " + std::to_string(c.S) + ", HS " + std::to_string(c.HS) + ", offset " +
                   std::to_string(offset));
      const Result got = run_decode(in, c, offset);
      const auto want = expected(in.qkv, in.k_cache, in.v_cache, c);
      EXPECT_TRUE(close(bench().read(got.out), want, forward(2), got.out.shape_text()));
      expect_same(bench().read(got.k_cache), grown(in.k_cache, in.qkv, 1, c));
      expect_same(bench().read(got.v_cache), grown(in.v_cache, in.qkv, 2, c));
    }
  }
}

// Bits: a row alone, and with more room behind it, is what it is in a batch.
TEST_P(AttentionDecodeTest, ARowDependsOnItselfAlone) {
  const Case batch{600, 2, 32, {77, 599, 530, 0}};
  const Inputs in = inputs(batch);
  const auto all = bench().read(run_decode(in, batch).out);
  const Index row = batch.NH * batch.HS, of_cache = row * batch.S;
  for (Index b = 0; b < 4; ++b) {
    const Index length = at(batch.lengths, b);
    const Case alone{length < 512 ? length + 1 : batch.S, batch.NH, batch.HS, {at(batch.lengths, b)}};
    Inputs mine;
    mine.qkv.assign(in.qkv.begin() + b * 3 * row, in.qkv.begin() + (b + 1) * 3 * row);
    for (Index h = 0; h < batch.NH; ++h) {
      const Index begin = b * of_cache + h * batch.S * batch.HS, end = begin + alone.S * batch.HS;
      mine.k_cache.insert(mine.k_cache.end(), in.k_cache.begin() + begin, in.k_cache.begin() + end);
      mine.v_cache.insert(mine.v_cache.end(), in.v_cache.begin() + begin, in.v_cache.begin() + end);
    }
    const auto got = bench().read(run_decode(mine, alone).out);
    EXPECT_EQ(got, Values<double>(all.begin() + b * row, all.begin() + (b + 1) * row)) << b;
  }
}

TEST_P(AttentionDecodeTest, LargeScoresStayFinite) {
  const Case c{50, 1, 64, {49}};
  Inputs in = inputs(c);
  for (double& x : in.qkv) x *= 64;
  for (double value : bench().read(run_decode(in, c).out)) ASSERT_TRUE(std::isfinite(value));
}

ZHGPT_ON_EVERY_DEVICE(AttentionDecodeTest);

}  // namespace
}  // namespace zhgpt::test
