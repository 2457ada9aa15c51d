// Expecting faults of kernels: that they are found, and reported with kernel, block, thread and source line.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <ostream>
#include <string>
#include <vector>

#include "cuda/launch.cuh"
#include "simt/device_array.h"

namespace zhgpt::test {

#ifdef __SANITIZE_ADDRESS__
constexpr bool kAsan = true;
#else
constexpr bool kAsan = false;
#endif
#ifdef __SANITIZE_THREAD__  // means our race checker
constexpr bool kRace = true;
#else
constexpr bool kRace = false;
#endif

// "file.cu:12" of the line of `file` that ends in the comment "// BUG: <marker>".
inline std::string line_of(const std::string& file, const std::string& marker) {
  std::ifstream source(file);
  std::string line;
  const std::string wanted = "// BUG: " + marker;
  for (int number = 1; std::getline(source, line); ++number) {
    if (line.size() >= wanted.size() &&
        line.compare(line.size() - wanted.size(), wanted.size(), wanted) == 0) {
      return file.substr(file.rfind('/') + 1) + ":" + std::to_string(number);
    }
  }
  ADD_FAILURE() << "no line of " << file << " is marked " << wanted;
  return "";
}

class FaultTest : public ::testing::Test {
 protected:
  DeviceArray<float> floats_{std::vector<float>(512, 1.f)};
  float* data_ = floats_.data();
};

// Launches and waits.
template <class... P, class... A>
void run_kernel(const char* name, cuda::LaunchShape shape, void (*kernel)(P...), A... arguments) {
  cuda::Stream stream;
  cuda::launch(stream, name, {}, shape, kernel, arguments...);
  stream.synchronize();
}
#define RUN_KERNEL(shape, kernel, ...) run_kernel(#kernel, shape, kernel __VA_OPT__(, ) __VA_ARGS__)

// The report of the fault that `body` runs into, "" if none. The device works again afterwards.
template <class Body>
std::string fault_of(Body body) {
  std::string report;
  try {
    body();
  } catch (const DeviceError& error) {
    report = error.what();
  }
  EXPECT_EQ(cudaDeviceReset(), cudaSuccess);
  return report;
}

inline ::testing::AssertionResult says(const std::string& report, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    if (report.find(part) == std::string::npos) {
      return ::testing::AssertionFailure() << "\"" << part << "\" is not said in: \"" << report << "\"";
    }
  }
  return ::testing::AssertionSuccess();
}

// Under every order, `body` runs into a fault whose report has all `parts`.
template <class Body>
void expect_fault(Body body, const std::vector<std::string>& parts) {
  for_each_seed([&] { EXPECT_TRUE(says(fault_of(body), parts)); });
}

// For what a dying program printed.
struct SaysAll {
  using is_gtest_matcher = void;
  std::vector<std::string> parts;

  bool MatchAndExplain(const std::string& text, std::ostream*) const { return bool(says(text, parts)); }
  void DescribeTo(std::ostream* out) const { *out << "says " << ::testing::PrintToString(parts); }
  void DescribeNegationTo(std::ostream* out) const { *out << "does not say it"; }
};

// What only the sanitizers and the race checker see. The race checker reports `race_text` and all `parts`;
// the sanitizers end the program after a report with `asan_text` and all `parts`.
template <class Body>
void expect_watched_fault(Body body, std::string race_text, std::string asan_text,
                          std::vector<std::string> parts) {
  if constexpr (kRace) {
    parts.push_back(race_text);
    expect_fault(body, parts);
  } else {
    parts.push_back(asan_text);
    EXPECT_DEATH(body(), SaysAll{parts});
  }
}

}  // namespace zhgpt::test
