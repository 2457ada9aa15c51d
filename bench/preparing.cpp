// bench_preparing FILE DIR: how fast a corpus becomes a dataset, and in how much memory.
//
// Prepares FILE in DIR, an empty directory, and prints one `name=value` a line: MB of the file, seconds, MB a
// second, the processor's seconds, how much memory this process took at most beyond what it began with, and
// the characters in the vocabulary.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "zhgpt/dataset.h"
#include "zhgpt/error.h"

namespace {

double peak_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::fprintf(stderr, "bench_preparing FILE DIR\n");
    return 2;
  }
  const double before_mb = peak_mb(), before_s = processor_seconds();
  const auto from = std::chrono::steady_clock::now();
  const zhgpt::Dataset dataset = zhgpt::prepare_dataset({argv[1]}, {}, 1337, argv[2]);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
  const double mb = static_cast<double>(std::filesystem::file_size(argv[1])) / 1e6;
  std::printf("mb=%.1f\nseconds=%.2f\nmb_per_s=%.1f\nprocessor_seconds=%.2f\npeak_mb=%.1f\nvocabulary=%lld\n",
              mb, seconds, mb / seconds, processor_seconds() - before_s, peak_mb() - before_mb,
              static_cast<long long>(dataset.vocab.size()));
  if (dataset.report.from_cache) std::fprintf(stderr, "The directory was not empty: a cache was read.\n");
} catch (const zhgpt::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
