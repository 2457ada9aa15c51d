// --profile: what the trace holds, that it changes nothing, and wrong use.
#include <algorithm>
#include <map>

#include "cli/journey.h"

namespace zhgpt::test {
namespace {

class ProfileTest : public Journey {
 protected:
  std::string trace() const { return file("trace.json"); }
  // Two threads, evaluations and saves at every third step.
  ProcessResult train_with(std::vector<std::string> more, std::int64_t steps = 20) const {
    std::vector<std::string> arguments = {"train",
                                          corpus(),
                                          "-o",
                                          run(),
                                          "--n-layer=1",
                                          "--n-head=2",
                                          "--n-embd=64",
                                          "--device=cpu",
                                          "--threads=2",
                                          "--block-size=16",
                                          "--batch-size=8",
                                          "--eval-interval=3",
                                          "--save-interval=3",
                                          "--max-iters",
                                          std::to_string(steps)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return call(std::move(arguments));
  }
};

TEST_F(ProfileTest, TheTraceHoldsStepsOperationsThreadsAndSaves) {
  const ProcessResult result = train_with({"--profile", trace(), "--profile-steps=6"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json events = Json::parse(read_file(trace()))["traceEvents"];
  std::map<std::string, std::vector<Json>> by_name;
  std::map<std::string, int> rows;
  for (const Json& event : events) {
    if (event["ph"] == "M") {
      rows[event["args"]["name"]] = event["tid"];
    } else {
      EXPECT_EQ(event["ph"], "X");
      EXPECT_GE(event["ts"], 0);
      EXPECT_GE(event["dur"], 0);
      by_name[event["name"]].push_back(event);
    }
  }
  EXPECT_EQ(rows["training"], 0);
  EXPECT_EQ(rows["saving"], 1);
  EXPECT_EQ(rows["CPU thread 0"], 2);  // whether the other one came in time for any tile is chance
  EXPECT_EQ(by_name["step"].size(), 6u);
  EXPECT_EQ(by_name["evaluation"].size(), 2u);
  EXPECT_GE(by_name["save"].size(), 2u);  // and waiting for them
  EXPECT_EQ(std::count_if(by_name["save"].begin(), by_name["save"].end(),
                          [](const Json& e) { return e["tid"] == 1; }),
            2);
  EXPECT_EQ(std::count_if(by_name["AdamW"].begin(), by_name["AdamW"].end(),
                          [](const Json& e) { return e["tid"] == 0; }),
            6);
  for (const Json& operation : by_name["AdamW"]) {
    if (operation["tid"] != 0) continue;
    EXPECT_GT(operation["args"]["GB/s"], 0);
    EXPECT_TRUE(std::any_of(by_name["step"].begin(), by_name["step"].end(), [&](const Json& step) {
      const double end = operation["ts"].get<double>() + operation["dur"].get<double>();
      return step["ts"] <= operation["ts"] &&
             end <= step["ts"].get<double>() + step["dur"].get<double>() + 0.01;
    })) << operation;
  }
  for (const auto& [name, all] : by_name) {
    EXPECT_NE(name, "");
    for (const Json& event : all) EXPECT_LE(event["tid"], 3) << event;
  }
  const auto& losses = by_name["HeadLoss"];
  EXPECT_TRUE(std::any_of(losses.begin(), losses.end(), [](const Json& e) { return e["tid"] == 2; }));
  for (const char* part : {"6 steps are in ", "forward", "backward", "optimizer", "evaluation", "saves"}) {
    EXPECT_TRUE(holds(result.err, part)) << part << "\n" << result.err;
  }
}

TEST_F(ProfileTest, LeavesTheSameBits) {
  ASSERT_EQ(train_with({"--profile", trace()}).exit_code, 0);
  const Json watched = inspect(run());
  std::filesystem::remove_all(run());
  ASSERT_EQ(train_with({}).exit_code, 0);
  EXPECT_EQ(inspect(run())["state_hash"], watched["state_hash"]);
  EXPECT_FALSE(watched["state_hash"].is_null());
}

TEST_F(ProfileTest, AResumedRunIsWatchedToo) {
  train();
  const ProcessResult result = call({"resume", run(), "--max-iters=40", "--profile", trace(), "--lang=zh"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(holds(result.err, "5 步已写入")) << result.err;  // of 10, 5 are for warming up
  EXPECT_TRUE(std::filesystem::exists(trace()));
}

TEST_F(ProfileTest, WrongUseIsToldBeforeTheTraining) {
  const ProcessResult nowhere = train_with({"--profile", file("missing/trace.json")});
  EXPECT_EQ(nowhere.exit_code, 5) << nowhere.err;
  EXPECT_TRUE(holds(nowhere.err, "missing/trace.json")) << nowhere.err;
  EXPECT_FALSE(std::filesystem::exists(run()));
  std::filesystem::create_directory(trace());
  const ProcessResult directory = train_with({"--profile", trace()});
  EXPECT_EQ(directory.exit_code, 5) << directory.err;
  EXPECT_TRUE(holds(directory.err, "this is a directory")) << directory.err;
  const std::string text = read_file(corpus());
  const ProcessResult taken = train_with({"--profile", corpus()});
  EXPECT_EQ(taken.exit_code, 5) << taken.err;
  EXPECT_EQ(read_file(corpus()), text) << "a slip of the hand must not cost a corpus";
  const ProcessResult alone = train_with({"--profile-steps=3"});
  EXPECT_EQ(alone.exit_code, 2) << alone.err;
  EXPECT_TRUE(holds(alone.err, "--profile FILE")) << alone.err;
  EXPECT_FALSE(std::filesystem::exists(run()));
}

TEST_F(ProfileTest, ARunThatEndsTooSoonSaysSo) {
  const ProcessResult result = train_with({"--profile", trace()}, 4);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(holds(result.err, "trace.json was not written")) << result.err;
  EXPECT_FALSE(std::filesystem::exists(trace()));
}

}  // namespace
}  // namespace zhgpt::test
