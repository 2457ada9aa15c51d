// Devices under test, and a workbench that keeps tensors on one of them.
//
// Every operation has one test body, run for each Device below. A device that cannot run here is skipped
// visibly; with ZHGPT_REQUIRE_CUDA=1 a missing CUDA device is a failure.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "support/compare.h"
#include "zhgpt/backend.h"
#include "zhgpt/bfloat16.h"
#include "zhgpt/error.h"

namespace zhgpt::test {

struct Device {
  const char* backend;
  DType dtype;
  CudaOptions options = {};
};

inline const std::vector<Device>& devices() {
  static const std::vector<Device> list = {
      {"cpu", DType::f32}, {"cpu", DType::f64}, {"cuda", DType::f32}, {"cuda", DType::bf16}};
  return list;
}

inline std::string device_name(const ::testing::TestParamInfo<Device>& info) {
  return std::string(info.param.backend) + "_" + dtype_name(info.param.dtype) +
         (info.param.options.cudnn_attention ? "_cudnn" : "");
}

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Tensors with guard bytes on both sides.
class Workbench {
 public:
  Workbench(Device device, int threads)
      : dtype_(device.dtype), backend_(make_backend(device.backend, threads, device.options)) {}

  Backend& backend() { return *backend_; }
  DType dtype() const { return dtype_; }
  template <class Op>
  void run(const Op& op) {
    backend_->run(op);
  }

  using Shape = std::initializer_list<std::int64_t>;

  // In the device's dtype, rounded to it; and the operands that ops.h calls exact.
  Tensor reals(const std::vector<double>& values, Shape shape) { return reals(values, dtype_, shape); }
  Tensor exacts(const std::vector<double>& values, Shape shape) {
    return reals(values, exact_dtype(), shape);
  }
  // Outputs that are to be overwritten: anything that is read of them, or left of them, shows.
  Tensor unset(Shape shape) { return filled(kNaN, dtype_, shape); }
  Tensor unset_exact(Shape shape) { return filled(kNaN, exact_dtype(), shape); }
  Tensor filled(double value, Shape shape) { return filled(value, dtype_, shape); }
  Tensor filled_exact(double value, Shape shape) { return filled(value, exact_dtype(), shape); }
  DType exact_dtype() const { return dtype_ == DType::bf16 ? DType::f32 : dtype_; }

  Tensor ints(const std::vector<std::int32_t>& values, std::initializer_list<std::int64_t> shape) {
    return place(values.data(), DType::i32, shape);
  }
  Tensor longs(const std::vector<std::int64_t>& values, std::initializer_list<std::int64_t> shape) {
    return place(values.data(), DType::i64, shape);
  }
  Tensor shorts(const std::vector<std::uint16_t>& values, std::initializer_list<std::int64_t> shape) {
    return place(values.data(), DType::u16, shape);
  }
  Tensor floats(const std::vector<float>& values) {
    return place(values.data(), DType::f32, {static_cast<std::int64_t>(values.size())});
  }
  // (count) bf16, to be overwritten.
  Tensor rounded(std::int64_t count) { return filled(kNaN, DType::bf16, {count}); }
  StepState* states(int count) {
    const std::vector<StepState> initial(static_cast<std::size_t>(count));
    const auto bytes = static_cast<std::int64_t>(initial.size() * sizeof(StepState));
    return static_cast<StepState*>(place(initial.data(), DType::u8, {bytes}).data);
  }
  StepState* state(const StepState& initial) {
    return static_cast<StepState*>(
        place(&initial, DType::u8, {static_cast<std::int64_t>(sizeof initial)}).data);
  }

  std::vector<double> read(const Tensor& tensor) {
    std::vector<char> bytes = bits(tensor);
    std::vector<double> values;
    for (std::int64_t i = 0; i < tensor.numel(); ++i) {
      const char* at = bytes.data() + i * dtype_bytes(tensor.dtype);
      values.push_back(tensor.dtype == DType::f64 ? get<double>(at)
                       : tensor.dtype == DType::f32
                           ? static_cast<double>(get<float>(at))
                           : static_cast<double>(bfloat16_value(get<std::uint16_t>(at))));
    }
    return values;
  }
  std::vector<std::int32_t> read_ints(const Tensor& tensor) {
    std::vector<std::int32_t> values(static_cast<std::size_t>(tensor.numel()));
    download(values.data(), tensor.data, tensor.bytes());
    return values;
  }
  StepState read(const StepState* state) {
    StepState copy;
    download(&copy, state, sizeof copy);
    return copy;
  }
  std::vector<char> bits(const Tensor& tensor) {
    std::vector<char> bytes(static_cast<std::size_t>(tensor.bytes()));
    download(bytes.data(), tensor.data, tensor.bytes());
    return bytes;
  }

  // No operation wrote before or behind any tensor.
  void expect_guards_intact() {
    for (const Buffer& buffer : buffers_) {
      std::vector<char> bytes(static_cast<std::size_t>(buffer.bytes()));
      download(bytes.data(), buffer.data(), buffer.bytes());
      for (int i = 0; i < kGuard; ++i) {
        ASSERT_EQ(bytes[static_cast<std::size_t>(i)], kGuardByte) << "before a tensor";
        ASSERT_EQ(bytes[bytes.size() - 1 - static_cast<std::size_t>(i)], kGuardByte) << "behind a tensor";
      }
    }
  }

 private:
  static constexpr int kGuard = 256;
  static constexpr char kGuardByte = 0x5A;

  Tensor reals(const std::vector<double>& values, DType dtype, Shape shape) {
    if (dtype == DType::f64) return place(values.data(), dtype, shape);
    const std::vector<float> narrow(values.begin(), values.end());
    if (dtype == DType::f32) return place(narrow.data(), dtype, shape);
    std::vector<std::uint16_t> bits;
    for (float value : narrow) bits.push_back(bfloat16_bits(value));
    return place(bits.data(), dtype, shape);
  }
  Tensor filled(double value, DType dtype, Shape shape) {
    return reals(std::vector<double>(static_cast<std::size_t>(Tensor(nullptr, dtype, shape).numel()), value),
                 dtype, shape);
  }
  template <class T>
  static T get(const char* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  void download(void* host, const void* device, std::int64_t bytes) {
    backend_->synchronize();
    backend_->download(host, device, bytes);
  }
  Tensor place(const void* values, DType dtype, std::initializer_list<std::int64_t> shape) {
    Tensor tensor(nullptr, dtype, shape);
    const std::int64_t total = tensor.bytes() + 2 * kGuard;
    std::vector<char> bytes(static_cast<std::size_t>(total), kGuardByte);
    std::copy_n(static_cast<const char*>(values), tensor.bytes(), bytes.data() + kGuard);
    buffers_.push_back(backend_->allocate(total, "test tensor"));
    backend_->upload(buffers_.back().data(), bytes.data(), total);
    tensor.data = static_cast<char*>(buffers_.back().data()) + kGuard;
    return tensor;
  }

  DType dtype_;
  std::unique_ptr<Backend> backend_;  // outlives its buffers
  std::vector<Buffer> buffers_;
};

// The fixture of every operation's tests.
class OnDevice : public ::testing::TestWithParam<Device> {
 protected:
  static constexpr int kThreads = 3;

  void SetUp() override {
    try {
      bench_ = std::make_unique<Workbench>(GetParam(), kThreads);
    } catch (const Error& error) {
      if (GetParam().options.cudnn_attention) GTEST_SKIP() << error.what();  // a choice that a build may lack
      const char* required = std::getenv("ZHGPT_REQUIRE_CUDA");
      if (required && std::string(required) == "1") FAIL() << error.what();
      GTEST_SKIP() << error.what();
    }
  }
  void TearDown() override {
    if (bench_) bench_->expect_guards_intact();
  }

  Workbench& bench() { return *bench_; }
  bool exact() const { return GetParam().dtype == DType::f64; }

  // What an operation may be off by. Forward in f64 differs from the reference by the order of its sums
  // alone. In f32 (unit roundoff 6e-8) sums of a few hundred terms of size 1 keep errors below 1e-5 of
  // `scale`, exp and tanh included; gradients go through two such sums. In bf16 (unit roundoff 4e-3) results
  // and what lies between two products are rounded once each.
  Tolerance forward(double scale = 1) const { return {tolerance(1e-12, 1e-5, 8e-3), scale}; }
  Tolerance backward(double scale = 1) const { return {tolerance(1e-10, 5e-5, 2e-2), scale}; }
  double tolerance(double f64, double f32, double bf16) const {
    return GetParam().dtype == DType::f64 ? f64 : GetParam().dtype == DType::f32 ? f32 : bf16;
  }

 private:
  std::unique_ptr<Workbench> bench_;
};

#define ZHGPT_ON_EVERY_DEVICE(Suite) \
  INSTANTIATE_TEST_SUITE_P(Devices, Suite, ::testing::ValuesIn(devices()), device_name)

}  // namespace zhgpt::test
