// bench_step LAYERS HEADS EMBD BLOCK BATCH VOCAB THREADS SECONDS: the speed of whole training steps on random ids.
//
// Prints one `name=value` a line: tokens_per_s (B*T over the median step), the best and median step, CPU time a step,
// the memory high-water mark, and how many times memory was allocated after the first step.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <vector>

#include "zhgpt/rng.h"
#include "zhgpt/trainer.h"

namespace {
std::atomic<long> allocations{0};
}
void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* data = std::malloc(bytes ? bytes : 1)) return data;
  throw std::bad_alloc();
}
void operator delete(void* data) noexcept { std::free(data); }
void operator delete(void* data, std::size_t) noexcept { std::free(data); }

namespace {

using namespace zhgpt;

// A vocabulary of V characters and a text of random ids in it.
Dataset random_dataset(std::int64_t V, std::int64_t count) {
  std::vector<std::int32_t> code_points{-1, -2};
  for (std::int64_t i = 2; i < V; ++i) code_points.push_back(static_cast<std::int32_t>(0x4E00 + i));
  Dataset dataset;
  dataset.vocab = Vocabulary::from_code_points(code_points);
  dataset.train.count = count;
  dataset.train.bytes.resize(static_cast<std::size_t>(count) * 2);
  auto* ids = reinterpret_cast<std::uint16_t*>(dataset.train.bytes.data());
  for (std::int64_t i = 0; i < count; ++i) {
    const PhiloxBlock r = random_block(1, RandomStream::split, 0, 0, static_cast<std::uint64_t>(i));
    ids[i] = static_cast<std::uint16_t>(uniform_below(r[0], r[1], static_cast<std::uint64_t>(V)));
  }
  return dataset;
}

double cpu_ms() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto ms = [](timeval t) { return 1e3 * static_cast<double>(t.tv_sec) + 1e-3 * static_cast<double>(t.tv_usec); };
  return ms(usage.ru_utime) + ms(usage.ru_stime);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 9) {
    std::fprintf(stderr, "usage: bench_step LAYERS HEADS EMBD BLOCK BATCH VOCAB THREADS SECONDS\n");
    return 2;
  }
  const auto number = [&](int i) { return parse_integer(argv[i], "argument"); };
  Config config;
  config.model = {.n_layer = number(1), .n_head = number(2), .n_embd = number(3), .block_size = number(4), .vocab_size = number(6)};
  config.train.batch_size = number(5);
  config.train.max_iters = 1000000;
  Dataset dataset = random_dataset(config.model.vocab_size, 1 << 17);
  const auto backend = make_backend("cpu", static_cast<int>(number(7)));
  Trainer trainer(*backend, config, dataset);

  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(parse_real(argv[8], "SECONDS"));
  std::vector<double> step_ms;
  step_ms.reserve(1 << 20);
  trainer.step();
  const long allocations_before = allocations;
  const double cpu_before = cpu_ms();
  do {
    const auto from = Clock::now();
    trainer.step();
    step_ms.push_back(std::chrono::duration<double, std::milli>(Clock::now() - from).count());
  } while (Clock::now() < end && step_ms.size() < step_ms.capacity());
  const long allocated = allocations - allocations_before;
  const double cpu = (cpu_ms() - cpu_before) / static_cast<double>(step_ms.size());
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);

  std::sort(step_ms.begin(), step_ms.end());
  const double median = step_ms[step_ms.size() / 2];
  std::printf("tokens_per_s=%.0f\nmedian_ms=%.2f\nbest_ms=%.2f\ncpu_ms=%.2f\nsteps=%zu\npeak_rss_mb=%.1f\nallocations_after_first_step=%ld\n",
              1e3 * static_cast<double>(trainer.tokens_per_step()) / median, median, step_ms.front(), cpu, step_ms.size(),
              static_cast<double>(usage.ru_maxrss) / 1024, allocated);
  return 0;
}
