// The selftest finds a right device right, and names whatever is wrong on a wrong one.
#include "zhgpt/selftest.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <set>
#include <string>

#include "selftest/sabotage.h"
#include "zhgpt/error.h"

namespace zhgpt::test {
namespace {

// One name for each operation; what stands behind a comma says how it is used.
std::string operation_of(const SelftestLine& line) {
  return line.name.substr(0, line.name.find(','));
}

struct Verdict {
  std::set<std::string> seen, wrong;
};
Verdict check(Backend& device, Precision precision = {}) {
  Verdict verdict;
  check_operations(device, precision, true, {}, [&](const SelftestLine& line) {
    verdict.seen.insert(operation_of(line));
    if (!line.ok) verdict.wrong.insert(operation_of(line));
    EXPECT_EQ(line.ok, line.error <= line.bound) << line.name;
    EXPECT_EQ(line.measured.ms, 0) << "nothing is timed";
  });
  return verdict;
}

const std::set<std::string> kEveryOperation = {
#define ZHGPT_NAME(Op) #Op,
    ZHGPT_FOR_EACH_OP(ZHGPT_NAME)
#undef ZHGPT_NAME
};

TEST(Selftest, ARightDeviceIsRightInEveryOperation) {
  const auto cpu = make_backend("cpu", 1);
  const Verdict verdict = check(*cpu);
  EXPECT_EQ(verdict.seen, kEveryOperation);
  EXPECT_EQ(verdict.wrong, std::set<std::string>{});
}

TEST(Selftest, EveryOperationThatIsWrongIsNamedAndNoOther) {
  for (const Damage damage : {Damage::off_by_one, Damage::nan}) {
    for (const std::string& name : kEveryOperation) {
      Saboteur device(make_backend("cpu", 1), name, damage);
      EXPECT_EQ(check(device).wrong, std::set{name});
    }
  }
}

TEST(Selftest, AnInt8ProductOfWrongFactorsOrRoundingIsFound) {
  for (const Damage damage : {Damage::one_factor, Damage::cut_off}) {
    Saboteur device(make_backend("cpu", 1), "PackedLinear", damage);
    EXPECT_EQ(check(device).wrong, std::set<std::string>{"PackedLinear"});
  }
}

TEST(Selftest, AFailureNamesTheOperation) {
  Saboteur device(make_backend("cpu", 1), "HeadLoss", Damage::failure);
  try {
    check(device);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const DeviceError& error) {
    EXPECT_EQ(std::string(error.what()).find("HeadLoss (N5 C7 V13): "), 0u) << error.what();
  }
}

TEST(Selftest, TrainingIsRightOrWrong) {
  const auto cpu = make_backend("cpu", 1);
  int lines = 0, wrong = 0;
  check_training(*cpu, {}, [&](const SelftestLine& line) { ++lines, wrong += !line.ok; });
  EXPECT_EQ(lines, 4);
  EXPECT_EQ(wrong, 0);

  Saboteur device(make_backend("cpu", 1), "AttentionBackward", Damage::off_by_one);
  check_training(device, {}, [&](const SelftestLine& line) { ++lines, wrong += !line.ok; });
  EXPECT_EQ(wrong, 2);  // gradients and losses; it is off by the same every time
}

class OnCuda : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    try {
      device_ = make_backend("cuda", 1);
    } catch (const DeviceError& error) {
      const char* required = std::getenv("ZHGPT_REQUIRE_CUDA");
      if (required && std::string(required) == "1") FAIL() << error.what();
      GTEST_SKIP() << error.what();
    }
  }
  std::unique_ptr<Backend> device_;
};

TEST_P(OnCuda, IsRight) {
  const Precision precision{.dtype = GetParam()};
#ifdef ZHGPT_BROKEN_DROPOUT
  const std::set<std::string> wrong{"DropoutBackward"};
#else
  const std::set<std::string> wrong;
#endif
  EXPECT_EQ(check(*device_, precision).wrong, wrong);
  if (!wrong.empty()) return;  // training is then wrong too
  check_training(*device_, precision, [](const SelftestLine& line) {
    EXPECT_TRUE(line.ok) << line.name << ": " << line.error << " > " << line.bound;
  });
}

TEST_P(OnCuda, MeasuresWhatWasLaunched) {
  const std::int64_t N = 8, bytes = N * N * dtype_bytes(GetParam());
  const Buffer memory = device_->allocate(3 * bytes, "three matrices");
  const auto matrix = [&](std::int64_t i) {
    return Tensor(static_cast<char*>(memory.data()) + i * bytes, GetParam(), {N, N});
  };
  bool was_before = false;
  const Measured measured =
      device_->measure([&] { was_before = true; },
                       [&] {
                         EXPECT_TRUE(was_before);
                         device_->run(LinearForward{matrix(0), {}, matrix(1), matrix(2), {}});
                       });
  EXPECT_EQ(measured.launches, 1);
  EXPECT_EQ(measured.flops, 2 * N * N * N);
  EXPECT_EQ(measured.bytes, 3 * bytes);
  EXPECT_EQ(device_->measure([] {}, [] {}).launches, 0);
}

INSTANTIATE_TEST_SUITE_P(Dtypes, OnCuda, ::testing::Values(DType::f32, DType::bf16),
                         [](const auto& test) { return std::string(dtype_name(test.param)); });

}  // namespace
}  // namespace zhgpt::test
