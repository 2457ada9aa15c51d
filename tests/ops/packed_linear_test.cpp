// PackWeight and PackedLinear: of f32 weights the bits of LinearForward, of bf16 ones those of the rounded
// weight, of int8 ones the product of whole numbers that ops.h defines. Only the CPU packs; this file runs
// again with other instructions of the processor (cmake/other_instructions.cmake).
#include <cfloat>

#include "support/device.h"
#include "support/fill.h"
#include "support/reference_ops.h"

namespace zhgpt::test {
namespace {

struct Case {
  Index N, C, OC;
};
// Fewer rows than go together and more; channels that fill groups of 64 and not; depths that fill lanes of
// two and four and not, and beyond one chunk.
const Case kCases[] = {{1, 1, 1},    {1, 128, 384}, {2, 2, 3},     {3, 33, 65},
                       {4, 192, 64}, {9, 195, 130}, {2, 512, 100}, {5, 386, 70}};

// Not exact in bf16.
Values<double> weights_of(const Case& c) {
  auto weights = random_reals(c.OC * c.C, 2);
  for (double& x : weights) x = static_cast<double>(static_cast<float>(x * 0.7));
  return weights;
}

// A row or a channel as int8 holds it: x is about factor * q.
struct Quantised {
  float factor = 0;
  std::vector<std::int64_t> q;
};
Quantised quantised(const Values<double>& values, Index row, Index C) {
  double most = 0;
  for (Index c = 0; c < C; ++c) most = std::max(most, std::abs(at(values, row * C + c)));
  Quantised out{static_cast<float>(most) / 127.f, {}};
  for (Index c = 0; c < C; ++c) {
    const float x = static_cast<float>(at(values, row * C + c));
    const float q = out.factor == 0 ? 0 : std::nearbyint(x / out.factor);
    out.q.push_back(static_cast<std::int64_t>(std::clamp(q, -127.f, 127.f)));
  }
  return out;
}

class PackedLinearTest : public ::testing::TestWithParam<int> {
 protected:
  struct Inputs {
    Values<double> inp, weight, bias;
  };
  static Inputs inputs(const Case& c) {
    return {random_reals(c.N * c.C, 1), weights_of(c), random_reals(c.OC, 3)};
  }
  void TearDown() override { bench_.expect_guards_intact(); }

  Values<double> packed_linear(const Case& c, WeightType type, const Inputs& in, bool gelu = false) {
    const Tensor room = bench_.unset({PackedWeight::bytes(type, c.OC, c.C) / 4}),
                 out = bench_.unset({c.N, c.OC});
    const PackedWeight packed{room.data, type, c.OC, c.C};
    bench_.run(PackWeight{packed, bench_.reals(in.weight, {c.OC, c.C})});
    bench_.run(PackedLinear{out, bench_.reals(in.inp, {c.N, c.C}), packed,
                            in.bias.empty() ? Tensor() : bench_.reals(in.bias, {c.OC}), gelu});
    return bench_.read(out);
  }
  Values<double> linear_forward(const Case& c, const Inputs& in, bool gelu = false) {
    const Tensor out = bench_.unset({c.N, c.OC}), pre_gelu = bench_.unset({c.N, c.OC});
    bench_.run(LinearForward{out, gelu ? pre_gelu : Tensor(), bench_.reals(in.inp, {c.N, c.C}),
                             bench_.reals(in.weight, {c.OC, c.C}),
                             in.bias.empty() ? Tensor() : bench_.reals(in.bias, {c.OC})});
    return bench_.read(out);
  }
  // (f_weight * f_inp) * sum + bias, in f32 but for the sum, which is exact.
  static Values<double> product_of_whole_numbers(const Case& c, const Inputs& in) {
    Values<double> out;
    for (Index n = 0; n < c.N; ++n) {
      const Quantised x = quantised(in.inp, n, c.C);
      for (Index o = 0; o < c.OC; ++o) {
        const Quantised w = quantised(in.weight, o, c.C);
        std::int64_t sum = 0;
        for (std::size_t i = 0; i < x.q.size(); ++i) sum += x.q[i] * w.q[i];
        const float product = w.factor * x.factor * static_cast<float>(sum);
        out.push_back(
            static_cast<double>(in.bias.empty() ? product : product + static_cast<float>(at(in.bias, o))));
      }
    }
    return out;
  }
  Workbench bench_{{"cpu", DType::f32}, GetParam()};
};

TEST_P(PackedLinearTest, HasTheBitsOfLinearForward) {
  for (const Case& c : kCases) {
    for (const bool with_bias : {false, true}) {
      for (const bool gelu : {false, true}) {
        Inputs in = inputs(c);
        if (!with_bias) in.bias.clear();
        EXPECT_EQ(packed_linear(c, WeightType::f32, in, gelu), linear_forward(c, in, gelu))
            << c.N << " " << c.C << " " << c.OC;
      }
    }
  }
}

TEST_P(PackedLinearTest, InBf16HasTheBitsOfRoundedWeights) {
  for (const Case& c : kCases) {
    const Inputs in = inputs(c);
    Inputs rounded = in;
    for (double& w : rounded.weight) {
      w = static_cast<double>(bfloat16_value(bfloat16_bits(static_cast<float>(w))));
    }
    EXPECT_EQ(packed_linear(c, WeightType::bf16, in), linear_forward(c, rounded))
        << c.N << " " << c.C << " " << c.OC;
  }
}

TEST_P(PackedLinearTest, InInt8IsTheProductOfWholeNumbers) {
  for (const Case& c : kCases) {
    for (const bool with_bias : {false, true}) {
      Inputs in = inputs(c);
      if (!with_bias) in.bias.clear();
      EXPECT_EQ(packed_linear(c, WeightType::int8, in), product_of_whole_numbers(c, in))
          << c.N << " " << c.C << " " << c.OC;
    }
  }
}

// Each number is off by at most half a unit: by f / 2.
TEST_P(PackedLinearTest, InInt8IsNearTheProduct) {
  for (const Case& c : kCases) {
    const Inputs in = inputs(c);
    const auto got = packed_linear(c, WeightType::int8, in), want = linear_forward(c, in);
    for (Index n = 0; n < c.N; ++n) {
      const Quantised x = quantised(in.inp, n, c.C);
      for (Index o = 0; o < c.OC; ++o) {
        const double x_off = static_cast<double>(x.factor) / 2,
                     w_off = static_cast<double>(quantised(in.weight, o, c.C).factor) / 2;
        double bound = 1e-5 * static_cast<double>(c.C);  // the f32 sum's own rounding
        for (Index i = 0; i < c.C; ++i) {
          bound += std::abs(at(in.inp, n * c.C + i)) * w_off + std::abs(at(in.weight, o * c.C + i)) * x_off +
                   x_off * w_off;
        }
        EXPECT_LE(std::abs(at(got, n * c.OC + o) - at(want, n * c.OC + o)), bound);
      }
    }
  }
}

// All products as large as they get, of either sign, in the deepest product: no sum in between may saturate.
TEST_P(PackedLinearTest, InInt8TheLargestSumIsExact) {
  const Case c{1, PackedWeight::kMostInt8, 3};
  Inputs in{Values<double>(static_cast<std::size_t>(c.C), 127),
            Values<double>(static_cast<std::size_t>(3 * c.C)),
            {}};
  for (Index i = 0; i < c.C; ++i) {
    at(in.weight, i) = 127;
    at(in.weight, c.C + i) = -127;
    at(in.weight, 2 * c.C + i) = i % 2 ? 127 : -127;
  }
  const double all = 127.0 * 127 * static_cast<double>(c.C);
  EXPECT_EQ(packed_linear(c, WeightType::int8, in), (Values<double>{all, -all, 0}));
  const Case deeper{1, c.C + 1, 3};
  in.weight.resize(static_cast<std::size_t>(3 * deeper.C));
  EXPECT_THROW(packed_linear(deeper, WeightType::int8, in), ConfigError);
}

// Rows and channels of zeros, of the largest numbers, of the least ones, whose factor is no 127th part but
// one unit, and of mixed ones.
TEST_P(PackedLinearTest, InInt8NumbersMayBeOfAnySize) {
  const Case c{4, 5, 4};
  const double big = static_cast<double>(FLT_MAX), tiny = static_cast<double>(FLT_TRUE_MIN);
  const Values<double> rows = {0,          0,     0,          0,     0,            //
                               big,        -big,  big / 2,    1,     0,            //
                               190 * tiny, tiny,  -99 * tiny, 0,     -190 * tiny,  //
                               1,          -0.75, 0.25,       1e-30, -0.5};
  const Inputs in{rows, rows, {}};
  const auto got = packed_linear(c, WeightType::int8, in);
  EXPECT_EQ(got, product_of_whole_numbers(c, in));
  for (Index i = 0; i < 4; ++i) {
    EXPECT_EQ(at(got, i), 0);      // row of zeros
    EXPECT_EQ(at(got, 4 * i), 0);  // channel of zeros
  }
  EXPECT_TRUE(std::isinf(at(got, 5)));     // of the largest numbers
  EXPECT_GT(at(got, 6), 50 * tiny * big);  // of the largest and the least
}

TEST_P(PackedLinearTest, InInt8WhatIsNotFiniteStaysSo) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const Case c{6, 130, 70};
  for (const double bad : {kNaN, -kNaN, kInfinity, -kInfinity}) {
    for (const Index where : {Index{0}, Index{63}, Index{129}}) {
      Inputs in = inputs(c);
      const auto usual = packed_linear(c, WeightType::int8, in);
      at(in.inp, 4 * c.C + where) = bad;      // row 4
      at(in.weight, 66 * c.C + where) = bad;  // channel 66
      const auto got = packed_linear(c, WeightType::int8, in);
      for (Index n = 0; n < c.N; ++n) {
        for (Index o = 0; o < c.OC; ++o) {
          if (n == 4 || o == 66) {
            EXPECT_TRUE(std::isnan(at(got, n * c.OC + o))) << n << " " << o;
          } else {
            EXPECT_EQ(at(got, n * c.OC + o), at(usual, n * c.OC + o)) << n << " " << o;
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, PackedLinearTest, ::testing::Values(1, 3));

}  // namespace
}  // namespace zhgpt::test
