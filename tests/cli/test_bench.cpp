// zhgpt bench: that what it says adds up. How fast anything is, is no test's business.
#include <map>

#include "cli/journey.h"

namespace zhgpt::test {
namespace {

class Bench : public Journey {
 protected:
  static constexpr double kC = 16, kT = 16, kB = 4, kL = 2, kV = 50;
  static std::vector<std::string> bench(std::vector<std::string> more,
                                        std::vector<std::string> sizes = {"--n-head=2", "--vocab-size=50",
                                                                          "--seconds=0.1"}) {
    std::vector<std::string> arguments = {"bench",          "--n-layer=2", "--n-embd=16",  "--block-size=16",
                                          "--batch-size=4", "--threads=2", "--device=cpu", "--dropout=0.1"};
    arguments.insert(arguments.end(), sizes.begin(), sizes.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
};

TEST_F(Bench, ItsNumbersAddUp) {
  const auto begin = std::chrono::steady_clock::now();
  const ProcessResult result = call(bench({"--json"}));
  const double whole_ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json out = Json::parse(result.out);
  EXPECT_EQ(out["device"], "cpu, 2 threads");
  EXPECT_EQ(out["dtype"], "fp32");
  EXPECT_EQ(out["tokens_per_step"], kB * kT);
  EXPECT_EQ(out["allocations"], 0);
  EXPECT_GT(out["steps"], 1);
  const double median = out["step_ms"]["median"];
  EXPECT_GT(median, 0);
  EXPECT_LE(out["step_ms"]["p10"], median);
  EXPECT_GE(out["step_ms"]["p90"], median);
  EXPECT_NEAR(out["tokens_per_s"].get<double>(), 1e3 * kB * kT / median, 1e-6 * kB * kT / median * 1e3);
  const double cpu_ms = out["cpu_ms"], steps = out["steps"];
  EXPECT_GT(cpu_ms, 0);
  EXPECT_LE(cpu_ms * steps, 2 * whole_ms);  // of two threads, however busy the machine
  EXPECT_GT(out["most_host_bytes"], 1 << 20);
  EXPECT_LT(out["most_host_bytes"], 100 << 20);  // what the peaks are measured with is not among it
  EXPECT_GT(out["gflop_per_s_peak"], 0);
  EXPECT_GT(out["gb_per_s_peak"], 0);

  std::map<std::string, Json> operations;
  double ms = 0;
  for (const Json& operation : out["operations"]) {
    operations[operation["operation"]] = operation;
    ms += operation["ms"].get<double>();
    EXPECT_GT(operation["share_of_peak"], 0) << operation;
  }
  EXPECT_LE(ms, out["watched_step_ms"]);
  EXPECT_EQ(operations["LinearForward"]["calls"], kL * 4);
  EXPECT_EQ(operations["LinearForward"]["flops"], kL * 2 * kB * kT * 12 * kC * kC);
  EXPECT_EQ(operations["DropoutBackward"]["calls"], kL * 2);
  EXPECT_EQ(operations["AdamW"]["calls"], 1);
}

TEST_F(Bench, SpeaksBothLanguages) {
  const ProcessResult english = call(bench({"--lang=en"})), chinese = call(bench({"--lang=zh"}));
  ASSERT_EQ(english.exit_code, 0) << english.err;
  for (const char* part : {"A step takes ", " characters a second", "LinearBackwardWeight",
                           "between operations", "in all", "0 allocations", "Peaks measured here: "}) {
    EXPECT_TRUE(holds(english.out, part)) << part << "\n" << english.out;
  }
  for (const char* part : {"每步 ", "运算之间", "合计", "本机实测峰值", "分配内存 0 次"}) {
    EXPECT_TRUE(holds(chinese.out, part)) << part << "\n" << chinese.out;
  }
}

TEST_F(Bench, TheRooflineIsThatOfThePlan) {
  const ProcessResult result = call(bench({"--json", "--roofline=h200"}));
  if (result.exit_code == 6) GTEST_SKIP() << result.err;
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json roofline = Json::parse(result.out)["roofline"];
  const ProcessResult plan =
      call({"plan", "--json", "--card=H200", "--device=cuda", "--n-layer=2", "--n-head=2", "--n-embd=16",
            "--block-size=16", "--batch-size=4", "--vocab-size=50", "--dropout=0.1"});
  ASSERT_EQ(plan.exit_code, 0) << plan.err;
  const Json want = Json::parse(plan.out)["step"];
  EXPECT_EQ(roofline["card"], "H200");
  EXPECT_EQ(roofline["dtype"], "bf16");
  for (const auto& [key, value] : want.items()) EXPECT_EQ(roofline[key], value) << key;
}

TEST_F(Bench, WrongUseIsTold) {
  for (const auto& [flag, part] : std::map<std::string, std::string>{{"--seconds=0", "seconds = 0"},
                                                                     {"--seconds=nan", "seconds"},
                                                                     {"--roofline=abacus", "H200|H100"},
                                                                     {"--vocab-size=70000", "65536"},
                                                                     {"--n-head=3", "n_head"}}) {
    const ProcessResult result = call(bench({flag}, {}));
    EXPECT_EQ(result.exit_code, 2) << flag;
    EXPECT_TRUE(holds(result.err, part)) << flag << "\n" << result.err;
    EXPECT_EQ(result.out, "");
  }
}

}  // namespace
}  // namespace zhgpt::test
