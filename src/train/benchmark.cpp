#include "zhgpt/benchmark.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <string_view>

#include "zhgpt/plan.h"
#include "zhgpt/rng.h"

namespace zhgpt {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostTimes = 1 << 16;
// A GPU is asked for several steps at a time, as in a run, so that it never waits for the host.
constexpr std::int64_t kStepsAhead = 16;
constexpr std::int64_t kFewestWatchedSteps = 3;

double seconds_since(Clock::time_point from) {
  return std::chrono::duration<double>(Clock::now() - from).count();
}

// Adds up what each operation takes.
class Sums final : public Observer {
 public:
  void on_operation(const OperationCost& cost, Interval time) override {
    auto found = std::find_if(sums_.begin(), sums_.end(),
                              [&](const OperationTime& sum) { return sum.operation == cost.operation; });
    if (found == sums_.end()) found = sums_.insert(found, {.operation = cost.operation});
    found->calls += 1;
    found->ms += time.ms();
    found->flops += cost.flops;
    found->bytes += cost.bytes;
  }
  std::vector<OperationTime> per_step(double steps) const {
    std::vector<OperationTime> result = sums_;
    for (OperationTime& sum : result) {
      for (double* value : {&sum.calls, &sum.ms, &sum.flops, &sum.bytes}) *value /= steps;
    }
    return result;
  }

 private:
  std::vector<OperationTime> sums_;
};

}  // namespace

Dataset random_dataset(std::int64_t V, std::int64_t count) {
  std::vector<std::int32_t> code_points{-1, -2};
  for (std::int64_t i = 2; i < V; ++i) code_points.push_back(static_cast<std::int32_t>(0x20000 + i));
  Dataset dataset;
  dataset.vocab = Vocabulary::from_code_points(code_points);
  std::vector<std::uint16_t> ids(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    const PhiloxBlock r = random_block(1, RandomStream::split, 0, 0, static_cast<std::uint64_t>(i));
    ids[static_cast<std::size_t>(i)] =
        static_cast<std::uint16_t>(uniform_below(r[0], r[1], static_cast<std::uint64_t>(V)));
  }
  dataset.train = token_array(DType::u16, std::as_bytes(std::span(ids)));
  return dataset;
}

double StepBenchmark::quantile_ms(double share) const {
  const double place = share * static_cast<double>(step_ms.size() - 1);
  return step_ms[static_cast<std::size_t>(std::lround(place))];
}

StepBenchmark benchmark_steps(Backend& backend, const Config& config, double seconds,
                              const std::function<void()>& between,
                              const std::function<std::int64_t()>& allocations) {
  const std::int64_t T = config.model.block_size;
  Dataset dataset = random_dataset(config.model.vocab_size, std::max<std::int64_t>(1 << 17, 4 * (T + 1)));
  const auto trainer = make_trainer(backend, config, dataset);
  StepBenchmark result;
  result.dtype = trainer->model().dtype();
  result.tokens_per_step = trainer->tokens_per_step();
  result.step_ms.reserve(kMostTimes);
  const std::int64_t ahead = backend.reads_host_memory() ? 1 : kStepsAhead;
  const auto steps = [&](std::int64_t count) {
    const auto begin = Clock::now();
    for (std::int64_t i = 0; i < count; ++i) trainer->step();
    backend.synchronize();
    trainer->finished_steps(true);
    return 1e3 * seconds_since(begin) / static_cast<double>(count);
  };

  steps(ahead);
  steps(ahead);  // in the second of all a graph is recorded
  const std::int64_t allocations_before = allocations();
  const auto start = Clock::now();
  const std::clock_t cpu_start = std::clock();
  do {
    result.step_ms.push_back(steps(ahead));
    result.steps += ahead;
    between();
  } while (seconds_since(start) < seconds && result.step_ms.size() < kMostTimes);
  result.cpu_ms = 1e3 * static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC /
                  static_cast<double>(result.steps);
  result.allocations = allocations() - allocations_before;
  std::sort(result.step_ms.begin(), result.step_ms.end());

  Sums sums;
  backend.observe(&sums);
  const auto watched_from = Clock::now();
  std::int64_t watched = 0;
  double ms = 0;
  try {
    for (; watched < kFewestWatchedSteps || seconds_since(watched_from) < seconds / 2; ++watched) {
      ms += steps(1);
      between();
    }
  } catch (...) {
    backend.observe(nullptr);
    throw;
  }
  backend.observe(nullptr);
  result.watched_step_ms = ms / static_cast<double>(watched);
  result.operations = sums.per_step(static_cast<double>(watched));
  return result;
}

}  // namespace zhgpt
