// bench_save_stall LAYERS HEADS EMBD BLOCK BATCH VOCAB THREADS SAVES DIR [--device D] [--dtype T]: what
// saving costs a run that saves every 100 steps.
//
// Trains 100 steps SAVES times without saving and SAVES times with it, in turn, and prints one `name=value` a
// line: the median step; the median time for which the training waited for a save, and that in per cent of
// 100 steps; what 100 steps with a save took longer than without in per cent, which also holds what the
// writing thread takes from the others; the time of a save on the spot, for comparison; the state, the copy
// that is written from, and what saving takes of host memory on top, in MB.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "train/async_saver.h"
#include "zhgpt/benchmark.h"
#include "zhgpt/trainer.h"

namespace {

using namespace zhgpt;
using Clock = std::chrono::steady_clock;

constexpr int kSteps = 100;

double ms_since(Clock::time_point from) {
  return std::chrono::duration<double, std::milli>(Clock::now() - from).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

double peak_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

// As a training run does, which looks at the save after each step and at the device every eighth.
double run_steps(Trainer& trainer, AsyncSaver& saver, double* waited_ms) {
  const auto from = Clock::now();
  for (int i = 0; i < kSteps; ++i) {
    trainer.step();
    trainer.finished_steps(i % 8 == 7 || i + 1 == kSteps);
    const auto looked = Clock::now();
    if (const auto outcome = saver.finished(false); outcome && !outcome->error.empty())
      std::fprintf(stderr, "%s\n", outcome->error.c_str());
    *waited_ms += ms_since(looked);
  }
  return ms_since(from);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 10 || argc % 2 != 0) {
    std::fprintf(stderr,
                 "usage: bench_save_stall LAYERS HEADS EMBD BLOCK BATCH VOCAB THREADS SAVES DIR [--device D] "
                 "[--dtype T]\n");
    return 2;
  }
  const auto number = [&](int i) { return parse_integer(argv[i], "argument"); };
  Config config;
  config.model = {.n_layer = number(1),
                  .n_head = number(2),
                  .n_embd = number(3),
                  .block_size = number(4),
                  .vocab_size = number(6)};
  config.train.batch_size = number(5);
  config.train.threads = number(7);
  config.train.max_iters = 1000000;
  config.train.device = "cpu";
  for (int i = 10; i < argc; i += 2) config.set(argv[i] + 2, argv[i + 1]);
  const std::string directory = argv[9];

  const auto backend = make_backend(config.train);
  Dataset dataset = random_dataset(config.model.vocab_size, 1 << 17);
  Trainer trainer(*backend, config, dataset);
  double state_mb = 0;
  for (const TensorSource& tensor : trainer.snapshot().tensors)
    state_mb += static_cast<double>(tensor.info.bytes()) / (1 << 20);
  AsyncSaver saver(trainer, directory);
  double ignored = 0;
  run_steps(trainer, saver, &ignored);  // a step's recording is made
  const double peak_before = peak_mb();

  std::vector<double> without, with, waited;
  for (std::int64_t i = 0; i < number(8); ++i) {
    without.push_back(run_steps(trainer, saver, &ignored));
    const auto from = Clock::now();
    saver.begin({.name = "step_00000100.bin", .is_best = false, .is_planned = true, .keep = {}});
    double waited_ms = ms_since(from);
    with.push_back(waited_ms + run_steps(trainer, saver, &waited_ms));
    const auto rest = Clock::now();
    saver.finished(true);  // still under way after 100 steps: then the next save would wait
    waited.push_back(waited_ms + ms_since(rest));
    with.back() += ms_since(rest);
  }
  const double peak_after = peak_mb();
  const auto from = Clock::now();
  save_checkpoint(directory + "/on_the_spot.bin", trainer.snapshot(), true);
  const double on_the_spot_ms = ms_since(from), hundred_ms = median(without);
  std::printf("step_ms=%.4f\nstall_ms=%.3f\nstall_percent_of_100_steps=%.3f\n", hundred_ms / kSteps,
              median(waited), 100 * median(waited) / hundred_ms);
  std::printf("slower_percent=%.2f\non_the_spot_ms=%.1f\n", 100 * (median(with) / hundred_ms - 1),
              on_the_spot_ms);
  std::printf("state_and_copy_mb=%.1f each\nsaving_takes_mb=%.1f\n", state_mb, peak_after - peak_before);
  return 0;
}
