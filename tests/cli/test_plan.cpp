// zhgpt plan: what it says, in words and as JSON, and that it leaves nothing behind.
#include "cli/journey.h"
#include "zhgpt/plan.h"

namespace zhgpt::test {
namespace {

class Plan : public Journey {
 protected:
  static Json plan(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"plan", "--json"});
    const ProcessResult result = run_program({.arguments = std::move(arguments)});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out, nullptr, false);
  }
};

TEST_F(Plan, TellsWhatTheTrainerOfACorpusTakes) {
  const TempDirectory temporary;
  const ProcessResult result =
      run_program({.arguments = {"plan", corpus(), "--n-layer=1", "--n-head=2", "--n-embd=16",
                                 "--block-size=16", "--threads=1", "--device=cpu", "--json"},
                   .environment = {{"TMPDIR", temporary.path().string()}}});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(contents(temporary.path()).empty()) << contents(temporary.path()).begin()->first;
  const Json plan = Json::parse(result.out);

  train();
  const Json run_config = inspect(run())["config"], progress = inspect(run())["progress"];
  Config config;
  config.model = {
      .n_layer = 1, .n_head = 2, .n_embd = 16, .block_size = 16, .vocab_size = run_config["vocab_size"]};
  config.train.threads = 1;
  config.train.device = "cpu";
  EXPECT_EQ(plan["memory_bytes"], plan_run(config, progress["train_tokens"]).memory_bytes);
  EXPECT_EQ(plan["parameters"], inspect(run())["parameters"]);
  EXPECT_EQ(plan["tokens_per_step"], 12 * 16);
  EXPECT_EQ(plan["dtype"], "fp32");
  EXPECT_FALSE(plan.contains("step"));
}

TEST_F(Plan, FindsTheLargestBatch) {
  const std::vector<std::string> run = {"--vocab-size=500", "--device=cpu", "--threads=2"};
  const auto plan_with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), run.begin(), run.end());
    return plan(more);
  };
  const Json plan = plan_with({"--memory=100MB"});
  EXPECT_EQ(plan["available_bytes"], 100'000'000);
  const std::int64_t batch = plan["largest_batch_size"];
  EXPECT_LE(plan_with({"--batch-size", std::to_string(batch)})["memory_bytes"], 100'000'000);
  EXPECT_GT(plan_with({"--batch-size", std::to_string(batch + 1)})["memory_bytes"], 100'000'000);
  EXPECT_EQ(plan["host_bytes"], 0);
  ProcessResult chinese = call({"plan", "--vocab-size=500", "--device=cpu", "--lang=zh"});
  for (const Json& use : plan["memory"]) {  // every name is in the table
    EXPECT_FALSE(holds(chinese.out, "  " + use["what"].get<std::string>() + " ")) << chinese.out;
  }
  EXPECT_TRUE(holds(chinese.out, "存盘用副本")) << chinese.out;
  EXPECT_EQ(plan_with({"--memory=1KiB"})["largest_batch_size"], 0);
}

TEST_F(Plan, CountsTheLaunchesOfAStepForACard) {
  const ProcessResult words =
      call({"plan", "--vocab-size=8192", "--preset=small", "--device=cuda", "--card=h200", "--lang=en"});
  if (words.exit_code == 6) GTEST_SKIP() << words.err;
  EXPECT_EQ(words.exit_code, 0) << words.err;
  EXPECT_TRUE(holds(words.out, "of the host's memory besides")) << words.out;
  for (const char* part : {"One step on an H200", "HeadLoss", "in all", "scratch memory", "--batch-size "}) {
    EXPECT_TRUE(holds(words.out, part)) << part << "\n" << words.out;
  }
  const ProcessResult chinese =
      call({"plan", "--vocab-size=8192", "--device=cuda", "--card=h200", "--lang=zh"});
  for (const char* part : {"存盘用副本", "锁页", "Adam 一阶矩"})
    EXPECT_TRUE(holds(chinese.out, part)) << chinese.out;
  const Json h200 = plan({"--vocab-size=8192", "--preset=small", "--device=cuda", "--card=H200"}),
             a100 = plan({"--vocab-size=8192", "--preset=small", "--device=cuda", "--card=A100"});
  EXPECT_EQ(h200["dtype"], "bf16");
  EXPECT_EQ(h200["available_bytes"], 141'000'000'000);
  EXPECT_EQ(h200["step"]["flops"], a100["step"]["flops"]);
  EXPECT_EQ(h200["host_bytes"], 2 * (std::int64_t{16} << 20));
  EXPECT_LT(h200["step"]["bound_s"], a100["step"]["bound_s"]);
  double kernels = 0, bound_s = 0;
  for (const Json& operation : h200["step"]["operations"]) {
    kernels += operation["kernels"].get<double>();
    bound_s += operation["bound_s"].get<double>();
  }
  EXPECT_EQ(h200["step"]["kernels"], kernels);
  EXPECT_NEAR(h200["step"]["bound_s"], bound_s, 1e-9);
}

TEST_F(Plan, ARunThatDoesNotFitLeavesNothing) {
  const ProcessResult result = call({"train", corpus(), "-o", run(), "--batch-size=1048576", "--n-layer=40"});
  EXPECT_EQ(result.exit_code, 6);
  EXPECT_TRUE(holds(result.err, "The run takes ")) << result.err;
  EXPECT_TRUE(holds(result.err, "The largest that fits is --batch-size ")) << result.err;
  EXPECT_FALSE(std::filesystem::exists(run()));
}

}  // namespace
}  // namespace zhgpt::test
