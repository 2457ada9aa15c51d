// The way of a user: train, look, sample, evaluate, go on; and what happens when something on the way is not
// as it was.
#include <sstream>

#include "cli/journey.h"

namespace zhgpt::test {
namespace {

namespace fs = std::filesystem;

TEST_F(Journey, TheRunDirectoryHoldsWhatIsPromised) {
  train();
  for (const char* name : {"config.toml", "vocab.json", "corpus.tokens", "metrics.jsonl", "train.log",
                           "step_00000010.bin", "step_00000020.bin", "step_00000030.bin", "latest", "best"}) {
    EXPECT_TRUE(fs::is_regular_file(run(name))) << name;
  }
  EXPECT_EQ(read_file(run("latest")), "step_00000030.bin\n");
  EXPECT_TRUE(fs::exists(run(read_file(run("best")).substr(0, 17))));
  EXPECT_EQ(Json::parse(read_file(run("vocab.json")))["format"], "zhgpt-vocab");

  std::istringstream metrics(read_file(run("metrics.jsonl")));
  std::int64_t step = 0, lines = 0;
  for (std::string line; std::getline(metrics, line); ++lines) {
    const Json record = Json::parse(line);
    EXPECT_GE(record["step"], step);
    step = record["step"];
  }
  EXPECT_EQ(step, 30);
  EXPECT_EQ(lines, 4);  // three log lines and the evaluation at the end
}

TEST_F(Journey, TrainingWritesNothingToStdout) {
  const ProcessResult result = run_program(training(run(), 30));
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(holds(result.err, "Finished: 30 steps.")) << result.err;
  EXPECT_EQ(result.err.find('\r'), std::string::npos) << "no drawing where no terminal is";
}

TEST_F(Journey, TwiceAsLongIsProposedInWholeEpochs) {
  const ProcessResult result = call({"train", corpus(), "-o", run(), "--n-layer=1", "--n-head=2",
                                     "--n-embd=16", "--block-size=16", "--batch-size=40", "--epochs=2"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(holds(result.err, "zhgpt resume " + run() + " --epochs 4\n")) << result.err;
}

TEST_F(Journey, InspectTellsStateAndConfiguration) {
  train();
  const Json json = inspect(run());
  EXPECT_EQ(json["step"], 30);
  EXPECT_EQ(json["epoch"], 1);  // 1600 characters are about 25 steps of 64
  EXPECT_EQ(json["state_hash"].get<std::string>().size(), 16u);
  EXPECT_EQ(json["config"]["n_embd"], 16);
  EXPECT_EQ(json["config"]["lr_schedule"], "cosine");
  EXPECT_EQ(json["config"]["deterministic"], true);
  EXPECT_EQ(inspect(run("step_00000010.bin"))["step"], 10);

  const ProcessResult text = call({"inspect", run()});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_EQ(text.err, "");
  EXPECT_TRUE(holds(text.out, json["state_hash"].get<std::string>())) << text.out;
}

TEST_F(Journey, TheSameTrainingGivesTheSameState) {
  for (const char* name : {"a", "b", "c"}) {
    run_program(training(file(name), 30, {name == std::string("c") ? "--seed=2" : "--seed=1"}));
  }
  EXPECT_EQ(inspect(file("a"))["state_hash"], inspect(file("b"))["state_hash"]);
  EXPECT_NE(inspect(file("a"))["state_hash"], inspect(file("c"))["state_hash"]);
}

TEST_F(Journey, SamplesGoToStdoutOnlyAndFollowTheSeed) {
  train();
  const auto sample = [&](const char* seed) {
    const ProcessResult result = call({"sample", run(), "-p", "天", "-n", "60", "--seed", seed});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.err, "");
    return result.out;
  };
  const std::string text = sample("1");
  EXPECT_TRUE(text.starts_with("天")) << text;
  EXPECT_TRUE(text.ends_with("\n"));
  EXPECT_GT(text.size(), std::string("天\n").size());
  EXPECT_EQ(sample("1"), text);
  EXPECT_NE(sample("2"), text);
}

TEST_F(Journey, UnknownCharactersOfAPromptAreNamedOnce) {
  train();
  const ProcessResult result = call({"sample", run(), "-p", "天🐉🐉天🐉", "-n", "5"});
  EXPECT_EQ(result.exit_code, 0);
  const std::size_t first = result.err.find("🐉");
  ASSERT_NE(first, std::string::npos) << result.err;
  EXPECT_EQ(result.err.find("🐉", first + 1), std::string::npos) << result.err;
  EXPECT_TRUE(result.out.starts_with("天天")) << "what is written goes on from what was read: " << result.out;
}

TEST_F(Journey, APromptThatIsNotUtf8IsRefused) {
  train();
  const ProcessResult result = call({"sample", run(), "-p", "天\xff", "-n", "5"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_TRUE(holds(result.err, "UTF-8 at byte 3")) << result.err;
  EXPECT_EQ(result.out, "");
}

TEST_F(Journey, SamplingDoesNotWaitForInputThatIsNotAskedFor) {
  train();
  for (const std::vector<std::string>& more : {std::vector<std::string>{"--no-interactive"}, {"-p", "天"}}) {
    std::vector<std::string> arguments = {"sample", run(), "-n", "5"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Process process({.arguments = arguments, .stdin_is_open_pipe = true});
    EXPECT_EQ(process.wait().exit_code, 0) << more[0];
  }
}

TEST_F(Journey, EvaluationPrintsTheModelBesideBaselines) {
  train();
  const ProcessResult result = call({"eval", run(), corpus()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* row : {"model", "uniform", "unigram", "bigram", "xz"})
    EXPECT_TRUE(holds(result.out, row)) << result.out;
  write_file(file("empty.txt"), "");
  EXPECT_EQ(call({"eval", run(), file("empty.txt")}).exit_code, 3);
}

TEST_F(Journey, TrainingOverARunIsRefusedAndChangesNothing) {
  train();
  const auto before = contents(run());
  const ProcessResult result = run_program(training(run(), 50));
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_TRUE(holds(result.err, "zhgpt resume " + run())) << result.err;
  EXPECT_EQ(changes(before, run()), std::vector<std::string>());
}

TEST_F(Journey, ACompleteRunSaysSoAndGoesOnWhenAsked) {
  train();
  const auto before = contents(run());
  const ProcessResult complete = call({"resume", run()});
  EXPECT_EQ(complete.exit_code, 2);
  EXPECT_TRUE(holds(complete.err, "30 steps are done, of 30 planned")) << complete.err;
  EXPECT_EQ(changes(before, run()), std::vector<std::string>());

  const ProcessResult longer = call({"resume", run(), "--max-iters", "50"});
  EXPECT_EQ(longer.exit_code, 0) << longer.err;
  EXPECT_TRUE(holds(longer.err, "max_iters: 30 -> 50")) << longer.err;
  EXPECT_EQ(inspect(run())["step"], 50);
  EXPECT_EQ(inspect(run())["config"]["max_iters"], 50);
  EXPECT_TRUE(holds(read_file(run("config.toml")), "max_iters = 50\n"));
}

TEST_F(Journey, ResumingFromAnOlderCheckpointReachesTheSameState) {
  train();
  const Json whole = inspect(run());
  for (const char* name : {"step_00000010.bin", "step_00000020.bin"}) {
    const ProcessResult result = call({"resume", run(name)});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(inspect(run("step_00000030.bin"))["state_hash"], whole["state_hash"]);
  }
}

TEST_F(Journey, AChangedCorpusIsRefusedUnlessMeant) {
  train();
  write_file(corpus(), read_file(corpus()) + "\n\n春眠不觉晓，处处闻啼鸟。\n");
  const auto before = contents(run());
  const ProcessResult refused = call({"resume", run(), "--max-iters", "50"});
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_TRUE(holds(refused.err, "--corpus-changed")) << refused.err;
  EXPECT_EQ(changes(before, run()), std::vector<std::string>());

  const ProcessResult meant = call({"resume", run(), "--max-iters", "50", "--corpus-changed"});
  EXPECT_EQ(meant.exit_code, 0) << meant.err;
  EXPECT_TRUE(holds(meant.err, "what is best is decided anew")) << meant.err;
  EXPECT_EQ(inspect(run())["step"], 50);
}

// A rate at which nothing is learned: what comes after the best evaluation is worse.
TEST_F(Journey, ARunThatEndsByPatienceNamesItsBestCheckpoint) {
  const ProcessResult result = run_program(
      training(run(), 1000, {"--patience=2", "--eval-interval=5", "--learning-rate=0.5", "--lang=en"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(holds(result.err, "validation no longer improves")) << result.err;
  std::string best = read_file(run("best"));
  best.pop_back();
  EXPECT_TRUE(holds(result.err, run(best) + ". Write with it: zhgpt sample " + run() + " --from best"))
      << result.err;
}

TEST_F(Journey, ADeletedCorpusIsReplacedByTheTokenCache) {
  train();
  fs::copy(run(), file("twin"), fs::copy_options::recursive);
  ASSERT_EQ(call({"resume", file("twin"), "--max-iters", "50"}).exit_code, 0);
  fs::remove(corpus());
  const ProcessResult result = call({"resume", run(), "--max-iters", "50"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(holds(result.err, "no longer where it was")) << result.err;
  EXPECT_EQ(inspect(run())["state_hash"], inspect(file("twin"))["state_hash"]);
}

TEST_F(Journey, AMovedCorpusIsTakenFromItsNewPlace) {
  train();
  fs::rename(corpus(), file("moved.txt"));
  const ProcessResult result = call({"resume", run(), "--max-iters", "50", "--corpus", file("moved.txt")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_FALSE(holds(result.err, "no longer where it was")) << result.err;
  EXPECT_EQ(inspect(run())["config"]["corpus"], file("moved.txt"));
}

TEST_F(Journey, ACorpusFromStandardInputIsTrainedOnAndKept) {
  Invocation invocation = training(run(), 30);
  invocation.arguments[1] = "-";
  invocation.stdin_text = read_file(corpus());
  const ProcessResult result = run_program(invocation);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(call({"resume", run(), "--max-iters", "50"}).exit_code, 0);
  EXPECT_EQ(inspect(run())["step"], 50);
}

TEST_F(Journey, ADamagedNewestCheckpointIsPassedOverLoudly) {
  train();
  const Json whole = inspect(run());
  damage(run("step_00000030.bin"));
  const ProcessResult result = call({"resume", run()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(holds(result.err, "step_00000030.bin: byte ")) << result.err;
  EXPECT_TRUE(holds(result.err, "step 20")) << result.err;
  EXPECT_EQ(inspect(run())["state_hash"], whole["state_hash"]);
}

TEST_F(Journey, ADamagedCheckpointThatIsNamedIsRefused) {
  train();
  damage(run("step_00000030.bin"));
  const auto before = contents(run());
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"resume"}, {"inspect"}, {"sample", "-p", "天"}}) {
    std::vector<std::string> arguments = more;
    arguments.insert(arguments.begin() + 1, run("step_00000030.bin"));
    const ProcessResult result = call(arguments);
    EXPECT_EQ(result.exit_code, 4) << more[0] << ": " << result.err;
    EXPECT_TRUE(holds(result.err, "step_00000030.bin: byte ")) << result.err;
    EXPECT_EQ(result.out, "");
  }
  EXPECT_EQ(changes(before, run()), std::vector<std::string>());
}

TEST_F(Journey, ADirectoryWithoutAWholeCheckpointIsRefused) {
  train();
  for (const char* name : {"step_00000010.bin", "step_00000020.bin", "step_00000030.bin"}) damage(run(name));
  EXPECT_EQ(call({"resume", run()}).exit_code, 4);
  EXPECT_EQ(call({"sample", run(), "-p", "天"}).exit_code, 4);
  EXPECT_EQ(call({"inspect", run(), "--from", "best"}).exit_code, 4);
}

TEST_F(Journey, BadCorporaAreRefused) {
  write_file(file("empty.txt"), "");
  write_file(file("short.txt"), "天地");
  write_file(file("bytes.txt"), "天地\xff\xfe玄黄\n");
  for (const char* name : {"empty.txt", "short.txt", "bytes.txt", "none.txt"}) {
    const ProcessResult result = call({"train", file(name), "-o", run()});
    EXPECT_EQ(result.exit_code, 3) << name << ": " << result.err;
    EXPECT_TRUE(holds(result.err, name == std::string("short.txt")   ? "one window"
                                  : name == std::string("empty.txt") ? "empty"
                                                                     : name))
        << result.err;
    EXPECT_FALSE(fs::exists(run())) << name;
  }
}

TEST_F(Journey, AFailedStartLeavesWhatWasThereAndNothingElse) {
  write_file(file("short.txt"), "天地");  // refused only when corpus.tokens and vocab.json have been written
  fs::create_directories(file("there"));
  write_file(file("there/notes.txt"), "the user's");
  const auto before = contents(file(""));
  for (const char* name : {"short.txt", "none.txt"}) {
    for (const char* directory : {"new/of/three", "new/", "there"}) {
      EXPECT_EQ(call({"train", file(name), "-o", file(directory)}).exit_code, 3);
      EXPECT_EQ(changes(before, file("")), std::vector<std::string>()) << name << " in " << directory;
    }
  }
  EXPECT_EQ(call({"resume", file("there")}).exit_code, 4);
  EXPECT_EQ(changes(before, file("")), std::vector<std::string>());
}

TEST_F(Journey, ClosedStdoutIsAnErrorNotACrash) {
  train();
  const ProcessResult result = run_program(
      {.arguments = {"sample", run(), "-p", "天", "-n", "100000"}, .stdout_is_closed_pipe = true});
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_TRUE(holds(result.err, "Standard output was closed.")) << result.err;
  for (const char* verb : {"inspect", "eval", "doctor"}) {
    std::vector<std::string> arguments = {verb};
    if (verb != std::string("doctor")) arguments.push_back(run());
    if (verb == std::string("eval")) arguments.push_back(corpus());
    EXPECT_EQ(run_program({.arguments = arguments, .stdout_is_closed_pipe = true}).exit_code, 5) << verb;
  }
}

}  // namespace
}  // namespace zhgpt::test
