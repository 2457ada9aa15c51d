// zhgpt bench: whole training steps on random characters, and each operation beside what this machine can do.
#include <algorithm>
#include <fstream>
#include <iostream>
#include <memory>

#include <nlohmann/json.hpp>

#include "cli/allocations.h"
#include "cli/console.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/roofline.h"
#include "cli/table.h"
#include "zhgpt/benchmark.h"
#include "zhgpt/ceilings.h"
#include "zhgpt/error.h"

namespace zhgpt::cli {
namespace {

using Json = nlohmann::ordered_json;

struct BenchArguments {
  std::int64_t vocab_size = 6000;
  double seconds = 5;
  std::string roofline;
  bool json = false;
  ConfigOptions config;
};

struct Bench {
  Config config;
  std::string device, dtype;
  StepBenchmark steps;
  std::int64_t most_bytes = 0;  // of host memory, before the ceilings were measured
  Ceilings ceilings;
  const Card* card = nullptr;  // with a plan of the same step there
  Config card_config;
  RunPlan card_plan;
};

// The high-water mark of this process alone: getrusage's is that of its parent too.
std::int64_t most_host_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::strtoll(line.c_str() + 6, nullptr, 10) * 1024;
  }
  return 0;
}

// What the ceilings leave no way around, over what it took; 0 where a ceiling is not known.
double share_of_peak(const OperationTime& time, const Ceilings& c) {
  if (c.flops_per_s <= 0 || c.bytes_per_s <= 0 || time.ms <= 0) return 0;
  return std::max(time.flops / c.flops_per_s, time.bytes / c.bytes_per_s) / (1e-3 * time.ms);
}

Bench measure(const BenchArguments& arguments) {
  if (!(arguments.seconds >= 0.01 && arguments.seconds <= 3600)) {
    throw ConfigError(tr(Msg::out_of_range, "--seconds", arguments.seconds, 0.01, 3600));
  }
  Bench bench;
  bench.config = arguments.config.resolve();
  bench.config.model.vocab_size = arguments.vocab_size;
  if (!arguments.roofline.empty()) {
    bench.card = &known_card("roofline", arguments.roofline);
    bench.card_config = bench.config;
    bench.card_config.train.device = "cuda";
    bench.card_plan = plan_run(bench.card_config, bench.config.model.block_size + 1);
  }
  const auto backend = make_backend(bench.config.train);
  bench.device = backend->name();
  bench.steps = benchmark_steps(*backend, bench.config, arguments.seconds, throw_if_interrupted, allocations);
  bench.most_bytes = most_host_bytes();
  const bool tf32 = !backend->reads_host_memory() && bench.config.train.dtype == "tf32";
  bench.dtype = bench.steps.dtype == DType::bf16 ? "bf16" : tf32 ? "tf32" : "fp32";
  bench.ceilings = backend->reads_host_memory()
                       ? measure_cpu_ceilings(static_cast<int>(bench.config.train.threads))
                       : measure_ceilings(*backend, {.dtype = bench.steps.dtype, .tf32 = tf32});
  return bench;
}

std::string operation_table(const Bench& bench) {
  std::vector<std::vector<std::string>> rows{cells_of(tr(Msg::bench_header))};
  std::vector<OperationTime> operations = bench.steps.operations;
  std::stable_sort(operations.begin(), operations.end(),
                   [](const OperationTime& a, const OperationTime& b) { return a.ms > b.ms; });
  const double whole_ms = bench.steps.watched_step_ms;
  const auto percent = [](double share) { return fixed(100 * share, 1) + "%"; };
  OperationTime all{.operation = tr(Msg::plan_in_all)};
  const auto add_row = [&](const OperationTime& o) {
    const double share = share_of_peak(o, bench.ceilings);
    rows.push_back({o.operation, fixed(o.calls, 0), fixed(o.ms, 3), percent(o.ms / whole_ms),
                    fixed(o.flops / o.ms * 1e-6, 1), fixed(o.bytes / o.ms * 1e-6, 1),
                    share > 0 ? percent(share) : ""});
  };
  for (const OperationTime& o : operations) {
    add_row(o);
    all.calls += o.calls;
    all.ms += o.ms;
    all.flops += o.flops;
    all.bytes += o.bytes;
  }
  const double between_ms = std::max(0.0, whole_ms - all.ms);
  add_row(all);
  rows.push_back({tr(Msg::bench_between), "", fixed(between_ms, 3), percent(between_ms / whole_ms)});
  return table(rows, "lrrrrrr");
}

void print_text(const Bench& bench) {
  const ModelConfig& m = bench.config.model;
  const StepBenchmark& s = bench.steps;
  std::cout << tr(Msg::bench_model, short_number(static_cast<double>(ParameterTable(m).count())), bench.dtype,
                  bench.device, m.n_layer, m.n_head, m.n_embd, m.block_size, m.vocab_size, s.tokens_per_step)
            << "\n"
            << tr(Msg::bench_step, fixed(s.quantile_ms(0.5), 3), s.steps, fixed(s.quantile_ms(0.1), 3),
                  fixed(s.quantile_ms(0.9), 3), fixed(s.tokens_per_s(), 0), fixed(s.cpu_ms, 3))
            << "\n"
            << tr(Msg::bench_memory, fixed(static_cast<double>(bench.most_bytes) / (1 << 20), 1),
                  s.allocations)
            << "\n\n"
            << tr(Msg::bench_waited, fixed(s.watched_step_ms, 3)) << "\n"
            << operation_table(bench)
            << tr(Msg::bench_peaks, fixed(bench.ceilings.flops_per_s * 1e-9, 1),
                  fixed(bench.ceilings.bytes_per_s * 1e-9, 1))
            << "\n";
  if (!bench.card) return;
  std::cout << "\n";
  print_roofline(bench.card_plan, bench.card_config, *bench.card);
}

void print_json(const Bench& bench) {
  const ModelConfig& m = bench.config.model;
  const StepBenchmark& s = bench.steps;
  Json out{
      {"program", ZHGPT_VERSION},
      {"device", bench.device},
      {"dtype", bench.dtype},
      {"parameters", ParameterTable(m).count()},
      {"n_layer", m.n_layer},
      {"n_head", m.n_head},
      {"n_embd", m.n_embd},
      {"block_size", m.block_size},
      {"vocab_size", m.vocab_size},
      {"tokens_per_step", s.tokens_per_step},
      {"steps", s.steps},
      {"step_ms", {{"median", s.quantile_ms(0.5)}, {"p10", s.quantile_ms(0.1)}, {"p90", s.quantile_ms(0.9)}}},
      {"tokens_per_s", s.tokens_per_s()},
      {"cpu_ms", s.cpu_ms},
      {"most_host_bytes", bench.most_bytes},
      {"allocations", s.allocations},
      {"gflop_per_s_peak", bench.ceilings.flops_per_s * 1e-9},
      {"gb_per_s_peak", bench.ceilings.bytes_per_s * 1e-9},
      {"watched_step_ms", s.watched_step_ms}};
  for (const OperationTime& o : s.operations) {
    out["operations"].push_back({{"operation", o.operation},
                                 {"calls", o.calls},
                                 {"ms", o.ms},
                                 {"flops", o.flops},
                                 {"bytes", o.bytes},
                                 {"share_of_peak", share_of_peak(o, bench.ceilings)}});
  }
  if (bench.card) {
    out["roofline"] = roofline_json(bench.card_plan, *bench.card);
    out["roofline"]["card"] = bench.card->name;
    out["roofline"]["dtype"] = precision_of(bench.card_plan, bench.card_config);
  }
  std::cout << out.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
}

int bench(const BenchArguments& arguments) {
  const Bench result = measure(arguments);
  (arguments.json ? print_json : print_text)(result);
  return 0;
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<BenchArguments>();
  CLI::App* verb = app.add_subcommand("bench", tr(Msg::help_bench));
  const std::string general = tr(Msg::group_general);
  add_integer(*verb, "--vocab-size", arguments->vocab_size, 2, kMostRandomIds, Msg::help_bench_vocab_size)
      ->group(general);
  add_real(*verb, "--seconds", arguments->seconds, Msg::help_bench_seconds)->group(general);
  verb->add_option("--roofline", arguments->roofline, tr(Msg::help_bench_roofline))
      ->type_name("NAME")
      ->group(general);
  verb->add_flag("--json", arguments->json, tr(Msg::help_json))->group(general);
  arguments->config.add_all(*verb);
  verb->callback([arguments, &action] { action = [arguments] { return bench(*arguments); }; });
}

}  // namespace zhgpt::cli
