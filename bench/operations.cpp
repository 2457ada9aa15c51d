// bench_operations: every operation by itself at the shapes of the tiny preset and of GPT-2, under Google
// Benchmark.
//
//   build/bench_operations --benchmark_filter='LinearForward.*C384'     # --help: its own flags
//
// On the device that `auto` is, in f32, with as many threads as it gives; wall time of runs one after
// another, so that operands may come out of caches. FLOP/s and bytes/s are of what Backend::cost counts.
#include <benchmark/benchmark.h>

#include "selftest/cases.h"

namespace {

using namespace zhgpt;

class Cost final : public Observer {
 public:
  void on_operation(const OperationCost& cost, Interval) override { last = cost; }
  OperationCost last{};
};

void run_case(benchmark::State& state, Backend& device, Backend& cpu, const selftest::Case& which) {
  selftest::Operands operands(device, DType::f32);
  const selftest::Prepared prepared = which.prepare(operands, cpu);
  Cost cost;
  device.observe(&cost);
  prepared.run();
  device.observe(nullptr);
  for (auto _ : state) {
    prepared.run();
    device.synchronize();
  }
  const auto per_second = [](double amount) {
    return benchmark::Counter(amount, benchmark::Counter::kIsIterationInvariantRate);
  };
  state.counters["FLOP/s"] = per_second(cost.last.flops);
  state.counters["bytes/s"] = per_second(cost.last.bytes);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const auto device = make_backend("auto", 0), cpu = make_backend("cpu", 0);
  for (const selftest::Case& which : selftest::operation_cases(false)) {
    if (!which.timed) continue;
    benchmark::RegisterBenchmark(
        (which.name + ": " + which.shape).c_str(),
        [&, which](benchmark::State& state) { run_case(state, *device, *cpu, which); })
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
  }
  benchmark::AddCustomContext("device", device->name());
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
