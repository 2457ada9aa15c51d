// exp_of and the sums of kernels/cpu, over their whole range and at every length.
#include "cpu/math.h"

#include <gtest/gtest.h>

#include <limits>

#include "cpu/reduce.h"
#include "support/fill.h"

namespace zhgpt {
namespace {

double ulps(float got, double want) {
  const float rounded = static_cast<float>(want);
  const double ulp = static_cast<double>(std::nextafter(rounded, std::numeric_limits<float>::infinity())) -
                     static_cast<double>(rounded);
  return std::abs(static_cast<double>(got) - want) / ulp;
}

TEST(Exp, WithinTwoUlpOverTheWholeRange) {
  double worst = 0;
  float worst_at = 0;
  for (double x = -86.9; x < 88.72; x += 1.37e-4) {
    const float argument = static_cast<float>(x);
    const double error = ulps(cpu::exp_of(argument), std::exp(static_cast<double>(argument)));
    if (!(error <= worst)) worst = error, worst_at = argument;
  }
  EXPECT_LT(worst, 2) << "at " << worst_at;
}

TEST(Exp, WithinTwoUlpAroundZeroAndTheEdgesOfItsPieces) {
  for (int exponent = -40; exponent < 0; ++exponent) {
    for (const float sign : {1.f, -1.f}) {
      const float x = sign * std::ldexp(1.2345f, exponent);
      EXPECT_LT(ulps(cpu::exp_of(x), std::exp(static_cast<double>(x))), 2) << x;
    }
  }
  for (int n = -125; n < 128; ++n) {
    const float edge = static_cast<float>((n + 0.5) * std::log(2.0));
    for (const float x : {std::nextafter(edge, -1e9f), edge, std::nextafter(edge, 1e9f)}) {
      EXPECT_LT(ulps(cpu::exp_of(x), std::exp(static_cast<double>(x))), 2) << x;
    }
  }
}

TEST(Exp, Extremes) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(cpu::exp_of(0.f), 1);
  EXPECT_EQ(cpu::exp_of(-0.f), 1);
  EXPECT_EQ(cpu::exp_of(kInf), kInf);
  EXPECT_EQ(cpu::exp_of(89.f), kInf);
  EXPECT_EQ(cpu::exp_of(1e30f), kInf);
  EXPECT_TRUE(std::isfinite(cpu::exp_of(88.72f)));
  EXPECT_EQ(cpu::exp_of(-kInf), 0);
  EXPECT_EQ(cpu::exp_of(-88.f), 0);
  EXPECT_GT(cpu::exp_of(-86.9f), 0);
  EXPECT_TRUE(std::isnan(cpu::exp_of(std::nanf(""))));
}

TEST(Reduce, EveryLength) {
  const auto values = test::random_reals(200, 1);
  std::vector<float> x(values.begin(), values.end());
  for (std::int64_t n = 1; n <= 200; ++n) {
    double sum = 0, squares = 0, about = 0;
    float most = x[0];
    for (std::int64_t i = 0; i < n; ++i) {
      const double value = values[static_cast<std::size_t>(i)];
      sum += value, squares += value * value, about += (value - 0.5) * (value - 0.5);
      most = std::max(most, static_cast<float>(value));
    }
    ASSERT_NEAR(cpu::sum_of(x.data(), n), sum, 1e-5);
    ASSERT_NEAR(cpu::dot_of(x.data(), x.data(), n), squares, 1e-5);
    ASSERT_NEAR(cpu::squares_about(x.data(), 0.5f, n), about, 1e-4);
    ASSERT_EQ(cpu::max_of(x.data(), n), most);
  }
}

template <class T>
class Exponentials : public ::testing::Test {};
using Reals = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Exponentials, Reals, );

TYPED_TEST(Exponentials, HaveTheSumOfSumOf) {
  const auto values = test::random_reals(200, 1, 3);
  for (std::int64_t n = 1; n <= 200; ++n) {
    const std::vector<TypeParam> given(values.begin(), values.end());
    std::vector<TypeParam> x = given;
    const TypeParam most = cpu::max_of(x.data(), n), sum = cpu::exponentials_of(x.data(), most, n);
    ASSERT_EQ(sum, cpu::sum_of(x.data(), n)) << n;
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
      ASSERT_EQ(x[i], cpu::exp_of(given[i] - most)) << n << " " << i;
    }
  }
}

}  // namespace
}  // namespace zhgpt
