// Stopping: a signal saves and can be gone on from; a second one does not wait; one directory has one
// trainer.
#include <signal.h>
#include <unistd.h>

#include <random>
#include <sstream>

#include "cli/journey.h"

namespace zhgpt::test {
namespace {

namespace fs = std::filesystem;

std::string trimmed(std::string line) {
  while (line.ends_with('\n')) line.pop_back();
  return line;
}

constexpr std::int64_t kSteps = 1500;  // long enough that a signal after the first lines comes before the end

class Signals : public Journey, public testing::WithParamInterface<int> {};

// T17
TEST_P(Signals, SaveAndGoOnToTheStateOfAnUninterruptedRun) {
  Process process(training(run(), kSteps));
  ASSERT_TRUE(process.wait_for_file(run("metrics.jsonl"))) << process.wait().err;
  process.send(GetParam());
  const ProcessResult stopped = process.wait();
  ASSERT_EQ(stopped.exit_code, 128 + GetParam()) << stopped.err;
  EXPECT_TRUE(holds(stopped.err, "zhgpt resume " + run())) << stopped.err;
  const Json middle = inspect(run());
  EXPECT_GT(middle["step"], 0);
  EXPECT_LT(middle["step"], kSteps);

  const ProcessResult resumed = call({"resume", run()});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  ASSERT_EQ(run_program(training(file("whole"), kSteps)).exit_code, 0);
  EXPECT_EQ(inspect(run())["step"], kSteps);
  EXPECT_EQ(inspect(run())["state_hash"], inspect(file("whole"))["state_hash"]);
}

INSTANTIATE_TEST_SUITE_P(Each, Signals, testing::Values(SIGINT, SIGTERM, SIGHUP));

// T17: whatever the program is about, halted for a while in between or not, it says by its exit code that it
// was stopped, and the newest checkpoint is whole; or it had not begun and leaves nothing.
TEST_F(Journey, ASignalAtAnyInstantIsObeyed) {
  constexpr int kRounds = 30, kSignals[] = {SIGINT, SIGTERM, SIGHUP};
  std::mt19937_64 random(17);
  int saved = 0;
  for (int round = 0; round < kRounds; ++round) {
    const std::string directory = file("run" + std::to_string(round));
    const int signal = kSignals[round % 3];
    Process process(training(directory, 1000000, {"--save-interval=7", "--eval-interval=11"}));
    if (round % 2 == 0) {
      ASSERT_TRUE(process.wait_for_file(directory + "/latest"));
    }
    ::usleep(static_cast<useconds_t>(random() % 60000));
    if (round % 4 == 0) {
      process.send(SIGSTOP);
      process.send(SIGCONT);
    }
    process.send(signal);
    const ProcessResult result = process.wait();
    if (result.signal == signal || holds(result.err, "nothing to save")) {
      EXPECT_NE(round % 2, 0) << "there was a checkpoint";
      EXPECT_FALSE(fs::exists(directory)) << result.err;
      continue;
    }
    ASSERT_EQ(result.exit_code, 128 + signal) << result.err;
    const Json newest = inspect(directory);
    EXPECT_TRUE(holds(result.err, "Saved: " + directory + "/")) << result.err;
    EXPECT_EQ(newest["step"], inspect(directory + "/" + trimmed(read_file(directory + "/latest")))["step"]);
    ++saved;
  }
  EXPECT_GE(saved, kRounds / 2);
}

// T17
TEST_F(Journey, ASecondSignalEndsAtOnce) {
  Process process(training(run(), 1000000, {"--save-interval=50"}));
  ASSERT_TRUE(process.wait_for_file(run("latest")));
  process.send(SIGSTOP);  // both wait for it to go on, so that the second comes before anything is saved
  process.send(SIGINT);
  process.send(SIGTERM);
  process.send(SIGCONT);
  const ProcessResult result = process.wait();
  EXPECT_TRUE(result.exit_code == 130 || result.exit_code == 143)
      << result.exit_code;  // the later one is not ours to say
  EXPECT_FALSE(holds(result.err, "Stopped as asked")) << result.err;
  EXPECT_EQ(call({"inspect", run()}).exit_code, 0) << "what was saved before is whole";
}

TEST_F(Journey, ASignalBeforeTrainingHasNothingToSave) {
  Invocation invocation = training(run(), 10);
  invocation.arguments[1] = "-";  // the corpus is standard input, which never comes
  invocation.stdin_is_open_pipe = true;
  Process process(invocation);
  ASSERT_TRUE(process.wait_for_file(run()));
  process.send(SIGINT);
  const ProcessResult result = process.wait();
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_TRUE(holds(result.err, "nothing to save")) << result.err;
  EXPECT_FALSE(fs::exists(run()));
}

TEST_F(Journey, KillLosesNothingThatWasSaved) {
  Process process(training(run(), kSteps, {"--save-interval=20"}));
  ASSERT_TRUE(process.wait_for_file(run("latest")));
  process.send(SIGKILL);
  EXPECT_EQ(process.wait().signal, SIGKILL);
  EXPECT_EQ(inspect(run())["step"].get<std::int64_t>() % 20, 0);
  ASSERT_EQ(call({"resume", run()}).exit_code, 0);
  ASSERT_EQ(run_program(training(file("whole"), kSteps, {"--save-interval=20"})).exit_code, 0);
  EXPECT_EQ(inspect(run())["state_hash"], inspect(file("whole"))["state_hash"]);
}

// T18
TEST_F(Journey, OneDirectoryHasOneTrainer) {
  Process process(training(run(), 1000000));
  ASSERT_TRUE(process.wait_for_file(run("metrics.jsonl")));
  const ProcessResult second = run_program(training(run(), 10));
  EXPECT_EQ(second.exit_code, 8) << second.err;
  EXPECT_TRUE(holds(second.err, "in use by process")) << second.err;
  EXPECT_EQ(call({"resume", run()}).exit_code, 8);
  process.send(SIGTERM);
  EXPECT_EQ(process.wait().exit_code, 143);
}

// Many texts at once: all rows go on together, so that what is on show tells how far the others are.
class ManyTexts : public Journey {
 protected:
  void SetUp() override { train_by_heart(run()); }
  // Writes two texts for each of these prompts, until standard output satisfies; then comes Ctrl-C.
  ProcessResult stopped_when(const std::string& prompts,
                             const std::function<bool(const std::string&)>& is_enough,
                             std::vector<std::string> more = {}) {
    write_file(file("prompts.txt"), prompts);
    std::vector<std::string> arguments = {
        "sample",          run(), "--prompt-file", file("prompts.txt"), "--greedy",
        "--num-samples=2", "-n",  "100000000",     "--device=cpu",      "--threads=1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Process process({.arguments = arguments});
    EXPECT_TRUE(process.wait_until([&] { return is_enough(process.out()); })) << process.out();
    process.send(SIGINT);
    return process.wait();
  }
};

// Of what Ctrl-C ended, the text on show stays as far as it came and the others are not begun on the screen.
TEST_F(ManyTexts, ThoseThatWereFinishedAreWrittenAfterCtrlC) {
  const ProcessResult result =
      stopped_when("日\n天\n月\n", [](const std::string& out) { return out.size() > 100; });
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_EQ(result.err, "");
  const std::size_t first = result.out.find('\n');
  ASSERT_NE(first, std::string::npos);
  for (std::size_t at = 0; at < first; at += 3) {
    ASSERT_EQ(result.out.substr(at, 3), at % 2 ? "月" : "日") << at;
  }
  EXPECT_EQ(result.out.substr(first), "\n\n天地玄黄\n\n天地玄黄\n");
}

TEST_F(ManyTexts, AnObjectSaysThatItsTextWasInterrupted) {
  const ProcessResult result = stopped_when(
      "天\n日\n天\n月\n", [](const std::string& out) { return out.ends_with('\n'); }, {"--json"});
  EXPECT_EQ(result.exit_code, 130) << result.err;
  std::vector<std::string> texts;
  std::istringstream lines(result.out);
  for (std::string line; std::getline(lines, line);) {
    const Json text = Json::parse(line);
    const std::string prompt = text["prompt"];
    texts.push_back(prompt + text["sample"].dump() + text["ended_by"].get<std::string>());
    EXPECT_EQ(text["tokens"].size(), text["log_probabilities"].size());
    if (prompt == "天") {
      EXPECT_EQ(text["text"], "地玄黄");
    }
  }
  EXPECT_EQ(texts, (std::vector<std::string>{"天0end_of_text", "天1end_of_text", "日0interrupted",
                                             "天0end_of_text", "天1end_of_text"}));
}

TEST_F(Journey, SamplingWhileTrainingGoesOn) {
  Process process(training(run(), 1000000, {"--save-interval=10"}));
  ASSERT_TRUE(process.wait_for_file(run("latest")));
  for (int i = 0; i < 10; ++i) {
    const ProcessResult sample = call({"sample", run(), "-p", "天", "-n", "5"});
    EXPECT_EQ(sample.exit_code, 0) << sample.err;
    EXPECT_EQ(sample.err, "");
  }
  process.send(SIGINT);
  EXPECT_EQ(process.wait().exit_code, 130);
}

}  // namespace
}  // namespace zhgpt::test
