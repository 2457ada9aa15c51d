// bench_step LAYERS HEADS EMBD BLOCK BATCH VOCAB THREADS SECONDS [--device D] [--dtype T] [--sample]
//            [--checkpoint FILE]: the speed of whole training steps on random ids; on the CPU in fp32 if not
//            told otherwise.
//
// Prints one `name=value` a line: tokens_per_s (B*T over the median step), the best and median step, CPU time
// a step, the memory high-water mark, how many times memory was allocated after the first steps, and how long
// saving to FILE took. With --sample: the characters a second of one text at a time instead, and the
// processor time of one.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "zhgpt/benchmark.h"
#include "zhgpt/sampler.h"
#include "zhgpt/trainer.h"

namespace {
std::atomic<long> allocations{0};
}
void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* data = std::malloc(bytes ? bytes : 1)) return data;
  throw std::bad_alloc();
}
void operator delete(void* data) noexcept {
  std::free(data);
}
void operator delete(void* data, std::size_t) noexcept {
  std::free(data);
}

namespace {

using namespace zhgpt;

double cpu_ms() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto ms = [](timeval t) {
    return 1e3 * static_cast<double>(t.tv_sec) + 1e-3 * static_cast<double>(t.tv_usec);
  };
  return ms(usage.ru_utime) + ms(usage.ru_stime);
}

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point from) {
  return std::chrono::duration<double, std::milli>(Clock::now() - from).count();
}

struct Arguments {
  Config config;
  double seconds = 0;
  bool sample = false;
  WeightType weights = WeightType::f32;  // of sampling
  std::string checkpoint;
};

bool parse(int argc, char** argv, Arguments& a) {
  if (argc < 9) return false;
  const auto number = [&](int i) { return parse_integer(argv[i], "argument"); };
  a.config.model = {.n_layer = number(1),
                    .n_head = number(2),
                    .n_embd = number(3),
                    .block_size = number(4),
                    .vocab_size = number(6)};
  a.config.train.batch_size = number(5);
  a.config.train.max_iters = 1000000;
  a.config.train.device = "cpu";
  a.config.train.dtype = "fp32";
  a.config.train.threads = number(7);
  a.seconds = parse_real(argv[8], "SECONDS");
  for (int i = 9; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--sample") {
      a.sample = true;
    } else if (flag == "--checkpoint" && i + 1 < argc) {
      a.checkpoint = argv[++i];
    } else if (flag == "--device" && i + 1 < argc) {
      a.config.train.device = argv[++i];
    } else if (flag == "--dtype" && i + 1 < argc) {
      a.config.train.dtype = argv[++i];
    } else if (flag == "--weights" && i + 1 < argc) {
      a.weights = weight_type_of(argv[++i]);
    } else {
      return false;
    }
  }
  return true;
}

// A device is asked for several steps at a time, as a training run does, so that it never waits for the host.
void measure_training(Backend& backend, const Arguments& a, Dataset& dataset) {
  Trainer trainer(backend, a.config, dataset);
  const int steps_a_block = a.config.train.device == "cpu" ? 1 : 16;
  const auto block = [&] {
    for (int i = 0; i < steps_a_block; ++i) trainer.step();
    backend.synchronize();
    trainer.finished_steps(true);
  };
  block();
  block();  // a step's recording is made in the second
  std::vector<double> step_ms;
  step_ms.reserve(1 << 20);
  const long allocations_before = allocations;
  const double cpu_before = cpu_ms();
  const auto start = Clock::now();
  do {
    const auto from = Clock::now();
    block();
    step_ms.push_back(ms_since(from) / steps_a_block);
  } while (ms_since(start) < 1e3 * a.seconds && step_ms.size() < step_ms.capacity());
  const long allocated = allocations - allocations_before;
  const double steps = static_cast<double>(step_ms.size()) * steps_a_block;
  const double cpu = (cpu_ms() - cpu_before) / steps;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);

  std::sort(step_ms.begin(), step_ms.end());
  const double median = step_ms[step_ms.size() / 2];
  std::printf(
      "tokens_per_s=%.0f\nmedian_ms=%.4f\nbest_ms=%.4f\ncpu_ms=%.4f\nsteps=%.0f\npeak_rss_mb=%.1f\n"
      "allocations_after_first_step=%ld\n",
      1e3 * static_cast<double>(trainer.tokens_per_step()) / median, median, step_ms.front(), cpu, steps,
      static_cast<double>(usage.ru_maxrss) / 1024, allocated);
  if (!a.checkpoint.empty()) {
    const auto from = Clock::now();
    save_checkpoint(a.checkpoint, trainer.snapshot(), true);
    std::printf("checkpoint_ms=%.1f\n", ms_since(from));
  }
}

void measure_sampling(Backend& backend, const Arguments& a) {
  const bool in_bf16 = a.config.train.dtype == "bf16";
  Gpt model(backend, a.config.model, 1, Gpt::Purpose::inference, in_bf16 ? DType::bf16 : DType::f32);
  model.set_parameters(model.table().initial_values(1));
  Generator generator(model, 1, a.weights);
  const SamplingOptions options;
  std::int64_t characters = 0;
  double total_ms = 0, total_cpu_ms = 0;
  for (bool warm = false; total_ms < 1e3 * a.seconds; warm = true) {  // texts of one window each
    generator.start({}, 0);
    const auto from = Clock::now();
    const double cpu_from = cpu_ms();
    for (std::int64_t i = 1; i < a.config.model.block_size; ++i) generator.next(options);
    if (!warm) continue;
    total_ms += ms_since(from);
    total_cpu_ms += cpu_ms() - cpu_from;
    characters += a.config.model.block_size - 1;
  }
  const auto count = static_cast<double>(characters);
  std::printf("chars_per_s=%.1f\ncpu_us_per_char=%.2f\nchars=%lld\n", 1e3 * count / total_ms,
              1e3 * total_cpu_ms / count, static_cast<long long>(characters));
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!parse(argc, argv, arguments)) {
    std::fprintf(stderr,
                 "usage: bench_step LAYERS HEADS EMBD BLOCK BATCH VOCAB THREADS SECONDS [--device D] "
                 "[--dtype T] [--sample [--weights f32|bf16|int8]] [--checkpoint FILE]\n");
    return 2;
  }
  const auto backend = make_backend(arguments.config.train);
  if (arguments.sample) {
    measure_sampling(*backend, arguments);
  } else {
    Dataset dataset = random_dataset(arguments.config.model.vocab_size, 1 << 17);
    measure_training(*backend, arguments, dataset);
  }
  return 0;
}
