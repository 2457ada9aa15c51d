// Benchmark of whole training steps on random ids: to dense arithmetic all texts are one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "zhgpt/trainer.h"

namespace zhgpt {

// A vocabulary of V characters, from U+20000 on, and a training text of `count` random ids in it. REQUIRES: V
// is at most kMostRandomIds.
constexpr std::int64_t kMostRandomIds = 1 << 16;
Dataset random_dataset(std::int64_t V, std::int64_t count);

// One operation's part of a step.
struct OperationTime {
  std::string operation;
  double calls = 0, ms = 0, flops = 0, bytes = 0;
};

struct StepBenchmark {
  DType dtype{};
  std::int64_t tokens_per_step = 0;
  std::vector<double> step_ms;   // ascending; on a device that need not be waited for, means of some steps
  std::int64_t steps = 0;        // behind them
  double cpu_ms = 0;             // processor time of all threads a step, what waits by spinning included
  std::int64_t allocations = 0;  // in them, after the first two
  // Of steps with an observer, in which each operation is waited for, in the order in which they first come.
  double watched_step_ms = 0;
  std::vector<OperationTime> operations;

  // The time that a share of the steps stays within; 0.5: the median.
  double quantile_ms(double share) const;
  double tokens_per_s() const { return 1e3 * static_cast<double>(tokens_per_step) / quantile_ms(0.5); }
};

// Trains for so many seconds, and then for half as many with an observer. `between` is called between steps
// and may throw; `allocations` tells how often memory was taken so far. Throws as make_trainer (plan.h).
StepBenchmark benchmark_steps(Backend& backend, const Config& config, double seconds,
                              const std::function<void()>& between,
                              const std::function<std::int64_t()>& allocations);

}  // namespace zhgpt
