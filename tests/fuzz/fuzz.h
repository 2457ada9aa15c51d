// What the targets share. A target is one fuzz_NAME.cpp that defines `seeds` and `LLVMFuzzerTestOneInput`;
// scripts/fuzz.sh builds it with libFuzzer, and the replays of scripts/test.sh run it over corpus/NAME
// without (replay.cpp).
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace zhgpt::fuzz {

// A property that does not hold is a finding.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}
#define ZHGPT_REQUIRE(condition) zhgpt::fuzz::require(condition, #condition)

// The input as a file, in memory where that is possible.
class InputFile {
 public:
  InputFile(const std::uint8_t* data, std::size_t size) : path_(choose_path()) {
    const int fd = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ZHGPT_REQUIRE(fd >= 0 && ::write(fd, data, size) == static_cast<ssize_t>(size) && ::close(fd) == 0);
  }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile() { ::unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  static std::string choose_path() {
    const std::filesystem::path memory = "/dev/shm";
    const auto directory =
        std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
    return (directory / ("zhgpt-fuzz-" + std::to_string(::getpid()))).string();
  }
  std::string path_;
};

// Writes inputs to begin with into a directory.
void write_seeds(const std::string& directory);

}  // namespace zhgpt::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
