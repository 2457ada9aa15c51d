// CUDA devices, real or the host runtime's, for the tests of src/train and of writing.
#pragma once

#include <cstdlib>
#include <string>

#include "train/fixture.h"
#include "zhgpt/error.h"
#ifdef ZHGPT_SIMT
#include "simt/settings.h"
#endif

namespace zhgpt::test {

// Heads of 32, which bf16 attention computes on tensor cores; rows of 64; a vocabulary that no pack divides.
inline Config device_config(const std::string& device, const std::string& dtype) {
  Config config = small_config();
  config.model = {
      .n_layer = 2, .n_head = 2, .n_embd = 64, .block_size = 20, .vocab_size = 37, .dropout = 0.1};
  config.train.batch_size = 2;
  config.train.max_iters = 20;
  config.train.learning_rate = 3e-3;
  config.train.device = device;
  config.train.dtype = dtype;
  return config;
}

// Which order CUDA's freedom takes must not matter.
inline void take_order([[maybe_unused]] std::uint64_t seed) {
#ifdef ZHGPT_SIMT
  simt::set_seed(seed);
#endif
}

class OnCuda : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    try {
      make_backend("cuda", 1);
    } catch (const DeviceError& error) {
      const char* required = std::getenv("ZHGPT_REQUIRE_CUDA");
      if (required && std::string(required) == "1") FAIL() << error.what();
      GTEST_SKIP() << error.what();
    }
  }
  bool is_bf16() const { return std::string(GetParam()) == "bf16"; }
  Config config() const { return device_config("cuda", GetParam()); }
};

#define ZHGPT_IN_BOTH_DTYPES(Suite)                                          \
  INSTANTIATE_TEST_SUITE_P(Dtypes, Suite, ::testing::Values("fp32", "bf16"), \
                           [](const auto& test) { return std::string(test.param); })

}  // namespace zhgpt::test
