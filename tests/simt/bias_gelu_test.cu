// The epilogues of products as kernels of their own, against their formulas in double.
#include "cuda/bias_gelu.h"

#include <cmath>

#include "cuda/device.cuh"
#include "simt/device_array.h"

namespace zhgpt::test {
namespace {

using namespace zhgpt::cuda;
using Epilogue = Product::Epilogue;

double gelu(double x) {
  return x / 2 * (1 + std::tanh(std::sqrt(2 / std::acos(-1.)) * (x + 0.044715 * x * x * x)));
}
double gelu_derivative(double x) {
  const double root = std::sqrt(2 / std::acos(-1.)), t = std::tanh(root * (x + 0.044715 * x * x * x));
  return (1 + t) / 2 + x / 2 * (1 - t * t) * root * (1 + 3 * 0.044715 * x * x);
}

// From -6 to 6 in steps that bf16 holds.
template <class T>
std::vector<T> numbers(std::size_t count, int step) {
  std::vector<T> values;
  for (std::size_t i = 0; i < count; ++i) {
    values.push_back(from_float<T>(static_cast<float>(static_cast<int>(i) * step % 97 - 48) / 8));
  }
  return values;
}

template <class T>
class BiasGelu : public ::testing::Test {
 protected:
  // One rounding of the result, and in bf16 one of what lies between.
  static constexpr double kTolerance = sizeof(T) == 4 ? 4e-6 : 1.2e-2;

  // Runs the epilogue over plain products, from `skip` elements behind an aligned address; want(product,
  // pre_gelu, bias) gives what out and pre_gelu are to be.
  template <class Want>
  void expect(Epilogue epilogue, std::int64_t m, std::int64_t n, bool with_bias, std::size_t skip,
              Want want) {
    const auto count = static_cast<std::size_t>(m * n);
    const auto out = numbers<T>(count + skip, 37), pre = numbers<T>(count + skip, 11),
               bias = numbers<T>(static_cast<std::size_t>(n) + skip, 29);
    const DeviceArray<T> device_out(out), device_pre(pre), device_bias(bias);
    Stream stream;
    apply_epilogue(stream, Product{.m = m,
                                   .n = n,
                                   .k = 1,
                                   .a = {},
                                   .b = {},
                                   .dtype = DType::f32,
                                   .out = device_out.data() + skip,
                                   .out_dtype = sizeof(T) == 4 ? DType::f32 : DType::bf16,
                                   .epilogue = epilogue,
                                   .bias = with_bias ? device_bias.data() + skip : nullptr,
                                   .pre_gelu = device_pre.data() + skip});
    stream.synchronize();
    const auto got = device_out.download(), got_pre = device_pre.download();
    for (std::size_t i = 0; i < count + skip; ++i) {
      const auto number = [](T x) { return static_cast<double>(to_float(x)); };
      std::pair<double, double> wanted{number(out[i]), number(pre[i])};  // before the matrix: as it was
      if (i >= skip) {
        const double b = with_bias ? number(bias[skip + (i - skip) % static_cast<std::size_t>(n)]) : 0.;
        wanted = want(number(out[i]), number(pre[i]), b);
      }
      ASSERT_LE(std::abs(number(got[i]) - wanted.first), kTolerance * (1 + std::abs(wanted.first))) << i;
      ASSERT_LE(std::abs(number(got_pre[i]) - wanted.second), kTolerance * (1 + std::abs(wanted.second)))
          << i;
    }
  }

  void expect_all(std::int64_t m, std::int64_t n, std::size_t skip) {
    expect(Epilogue::bias, m, n, true, skip,
           [](double x, double pre, double b) { return std::pair(x + b, pre); });
    for (const bool with_bias : {true, false}) {
      expect(Epilogue::bias_gelu, m, n, with_bias, skip,
             [](double, double pre, double b) { return std::pair(gelu(pre + b), pre + b); });
    }
    expect(Epilogue::dgelu, m, n, false, skip,
           [](double x, double pre, double) { return std::pair(x * gelu_derivative(pre), pre); });
  }
};
using Types = ::testing::Types<float, bf16>;
TYPED_TEST_SUITE(BiasGelu, Types);

TYPED_TEST(BiasGelu, FollowsTheFormulas) {
  for_each_seed([&] {
    this->expect_all(1, 1, 0);
    this->expect_all(5, 33, 0);
    this->expect_all(9, 96, 0);
    this->expect_all(9, 96, 1);  // not at multiples of 16 bytes
  });
}

}  // namespace
}  // namespace zhgpt::test
