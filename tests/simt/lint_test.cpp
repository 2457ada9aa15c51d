// Rules of kernels/cuda that no compiler checks, by reading the sources.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <string>

namespace {

struct Rule {
  const char* what;
  std::regex pattern;
  std::regex allowed_in;  // file names
};

TEST(Lint, KernelsKeepToThePortableHeaders) {
  const Rule rules[] = {
      {"inline assembly", std::regex(R"(\basm\b)"), std::regex("device.cuh|tensor_core.cuh")},
      {"a launch", std::regex("<<<|cudaLaunchKernel"), std::regex("launch.cuh")},
      {"a plain shared variable", std::regex("__shared__"), std::regex("device.cuh")},
      {"a CUDA header", std::regex(R"(#include <(cuda|cooperative_groups|mma|vector_))"),
       std::regex(R"(device\.cuh|.*\.h|.*\.cpp)")},
      {"a difference between GPU and host", std::regex("ZHGPT_SIMT\\b|__CUDACC__|__CUDA_ARCH__"),
       std::regex("device.cuh|tensor_core.cuh|launch.cuh")},
  };
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(ZHGPT_KERNELS_DIR "/cuda")) {
    if (!entry.is_regular_file() || entry.path().extension() == ".md") continue;
    ++files;
    std::ifstream source(entry.path());
    std::string line;
    for (int number = 1; std::getline(source, line); ++number) {
      line.resize(std::min(line.size(), line.find("//")));
      for (const Rule& rule : rules) {
        const bool breaks = std::regex_search(line, rule.pattern) &&
                            !std::regex_match(entry.path().filename().string(), rule.allowed_in);
        EXPECT_FALSE(breaks) << entry.path() << ":" << number << ": " << rule.what << " does not belong here";
      }
    }
  }
  EXPECT_GT(files, 5);
}

}  // namespace
