// How long a torture lasts, and what it counted.
//
// The short form runs in scripts/test.sh: a fixed number of rounds. The long form, scripts/torture.sh, sets
// ZHGPT_TORTURE_SECONDS: rounds go on until so much time has passed, and steps of a sweep are as fine as can
// be.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

namespace zhgpt::test {

inline double torture_seconds() {
  const char* text = std::getenv("ZHGPT_TORTURE_SECONDS");
  return text ? std::atof(text) : 0;
}
inline bool is_long_form() {
  return torture_seconds() > 0;
}

// for (Rounds rounds(100); rounds.more();) …
class Rounds {
 public:
  explicit Rounds(std::int64_t at_least) : at_least_(at_least), started_(Clock::now()) {}
  bool more() {
    const std::chrono::duration<double> passed = Clock::now() - started_;
    return done_++ < at_least_ || passed.count() < torture_seconds();
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::int64_t at_least_, done_ = 0;
  Clock::time_point started_;
};

// A line of the table of scripts/torture.sh: "figure: T6 | Formats/Kill.…/bin | kills | 100".
inline void figure(const char* id, const char* what, std::int64_t count) {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  std::printf("figure: %s | %s.%s | %s | %lld\n", id, test->test_suite_name(), test->name(), what,
              static_cast<long long>(count));
}

// Where thousands of files are made, and a disk would only make it slower: in memory, if there is such a
// place.
inline std::filesystem::path memory_directory() {
  const std::filesystem::path memory = "/dev/shm";
  return ::access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path();
}

// Every test of a FormatTest runs for every format of files; the parameter is the extension.
class FormatTest : public testing::TestWithParam<const char*> {
 protected:
  std::string name(const std::string& stem) const { return stem + "." + GetParam(); }
};
#define ZHGPT_FOR_EVERY_FORMAT(suite)                                                            \
  INSTANTIATE_TEST_SUITE_P(Formats, suite, testing::Values("bin", "json", "mpk", "safetensors"), \
                           [](const auto& test) { return std::string(test.param); })

}  // namespace zhgpt::test
