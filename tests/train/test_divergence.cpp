// Losses, gradients and weights that are not finite, and spikes: no update by them, no file of them, and a
// run that goes back to a good state, passes over the batches that led to it, and ends well.
#include <atomic>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "train/poison.h"
#include "zhgpt/error.h"
#include "zhgpt/stability.h"
#include "zhgpt/training_run.h"

namespace zhgpt {
namespace {

namespace fs = std::filesystem;
using Outcome = TrainingRun::Outcome;
using test::Poison;
using test::PoisonedKit;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// ---- the window
// -----------------------------------------------------------------------------------------------

// S1-50, T16
TEST(SpikeWindow, ZScoreIsThatOfTheFormula) {
  SpikeWindow window;
  for (int i = 1; i <= 128; ++i) {
    EXPECT_EQ(window.z_score(1e6), 0) << "not full yet";
    window.add(static_cast<float>(i));
  }
  // Of 1 to n: mean (n + 1) / 2, variance (n^2 - 1) / 12.
  EXPECT_NEAR(window.z_score(200), (200 - 64.5) / std::sqrt((128.0 * 128 - 1) / 12), 1e-12);
  EXPECT_NEAR(window.z_score(-3), (-3 - 64.5) / std::sqrt((128.0 * 128 - 1) / 12), 1e-12);
  window.add(129);  // the 1 leaves
  EXPECT_NEAR(window.z_score(200), (200 - 65.5) / std::sqrt((128.0 * 128 - 1) / 12), 1e-12);
}

TEST(SpikeWindow, NothingIsOutOfLineWithEqualValues) {
  SpikeWindow window;
  for (int i = 0; i < 128; ++i) window.add(0.1f);
  EXPECT_EQ(window.z_score(5), 0);
}

TEST(SpikeWindow, TextKeepsEveryBit) {
  SpikeWindow window;
  for (int i = 0; i < 200; ++i) window.add(std::ldexp(std::sin(static_cast<float>(i)), i % 40 - 20));
  window.add(std::numeric_limits<float>::denorm_min());
  window.add(-0.0f);
  const SpikeWindow again = SpikeWindow::from_text(window.to_text(), "w");
  EXPECT_EQ(again.to_text(), window.to_text());
  EXPECT_EQ(again.z_score(0.5), window.z_score(0.5));
  EXPECT_LT(window.to_text().size(), 128u * 16);
  EXPECT_EQ(SpikeWindow::from_text("", "w").to_text(), "");
}

TEST(SpikeWindow, TextThatIsNoWindowIsRefused) {
  std::string long_text = "1";
  for (int i = 0; i < 128; ++i) long_text += " 1";
  for (const std::string& text : {std::string("1 nan"), std::string("inf"), std::string("1  2"),
                                  std::string("1x"), std::string("1e99"), long_text}) {
    EXPECT_THROW(SpikeWindow::from_text(text, "w"), ConfigError) << text;
  }
}

// ---- what is trouble
// ------------------------------------------------------------------------------------------

StepState skipped(std::int64_t step, std::int64_t in_a_row) {
  return {.step = step, .skipped_in_a_row = in_a_row, .loss = kNaN};
}

TEST(Stability, MoreThanOnePercentOfTheLastThousandStepsIsTrouble) {
  Stability stability;
  for (int i = 1; i <= 10; ++i) EXPECT_EQ(stability.judge(skipped(10 * i, 1), 0).trouble, Trouble::none) << i;
  Stability later = stability;
  const Judgement eleventh = stability.judge(skipped(1009, 1), 0);
  EXPECT_EQ(eleventh.trouble, Trouble::many_skips);
  EXPECT_EQ(eleventh.skips, 11);
  EXPECT_EQ(eleventh.whole_step, 1008);
  EXPECT_EQ(later.judge(skipped(1010, 1), 0).trouble, Trouble::none) << "the first is a thousand steps ago";
}

// ---- one poisoned step
// ----------------------------------------------------------------------------------------

Dataset text() {
  return test::made_up_dataset(81 * 8 + 1, 100, 24);
}

Config config_of(std::int64_t steps) {
  Config config = test::small_config();
  config.model.n_layer = 1;
  config.model.dropout = 0.1;
  config.train.max_iters = steps;
  config.train.save_interval = 10;
  config.train.eval_interval = 10;
  config.train.keep_last = 100;
  return config;
}

// Poisons that make the loss or one gradient of some batches NaN, or larger by a factor.
Poison loss_of(std::function<bool(std::int64_t)> batch, float factor = kNaN) {
  return {.loss = [=](StepState& s) { s.loss *= batch(s.batch()) ? factor : 1; }};
}
Poison gradient_of(std::function<bool(std::int64_t)> batch, float factor = kNaN) {
  return {.grads = [=](const StepState& s, Tensor grads) {
    if (batch(s.batch())) grads.as<float>()[grads.numel() / 2] *= factor;
  }};
}

// S1-50, T16: the whole state but the counters is as it was.
TEST(OnePoisonedStep, UpdatesNothing) {
  const auto third = [](std::int64_t batch) { return batch == 2; };
  for (const Poison& poison : {loss_of(third), gradient_of(third)}) {
    PoisonedKit kit(config_of(40), text(), poison);
    kit->step();
    kit->step();
    const std::uint64_t before = state_hash(kit->snapshot());
    kit->step();
    EXPECT_EQ(state_hash(kit->snapshot()), before);
    EXPECT_EQ(kit->state().skipped, 1);
    kit->step();
    EXPECT_NE(state_hash(kit->snapshot()), before);
  }
}

// ---- runs
// -----------------------------------------------------------------------------------------------------

struct Recorder : RunObserver {
  void on_step(const StepReport&, bool) override {
    if (++steps == stop_after) signal = 15;
  }
  void on_evaluation(const EvaluationReport&) override {}
  void on_saved(const std::string&) override {}
  void on_sample(const std::string&) override {}
  void on_note(const std::string& text) override { notes.push_back(text); }
  bool said(const std::string& part) const {
    return std::any_of(notes.begin(), notes.end(),
                       [&](auto& note) { return note.find(part) != std::string::npos; });
  }
  std::int64_t steps = 0, stop_after = -1;  // reports, those of repeated steps too
  std::atomic<int> signal{0};
  std::vector<std::string> notes;
};

class Poisoned : public ::testing::Test {
 protected:
  // Trains in `directory` with a poison, stopped after so many reports and gone on with in a new process, so
  // to speak, for each entry of `stops`; to the end, or to the exception.
  void run(const std::string& directory, const Config& config, const Poison& poison,
           const std::vector<std::int64_t>& stops = {}, const test::Manner& manner = {}) {
    fs::create_directory(directory);
    std::optional<Checkpoint> from;
    for (std::size_t part = 0; part <= stops.size(); ++part) {
      kit_.emplace(config, text(), poison, from ? &*from : nullptr, manner);
      if (!from) (*kit_)->set_run_id({1, 2, 3});
      recorder_.emplace();
      if (part < stops.size()) recorder_->stop_after = stops[part];
      const Outcome outcome = TrainingRun(*kit_->trainer, directory, *recorder_).run(recorder_->signal);
      ASSERT_EQ(outcome, part < stops.size() ? Outcome::signalled : Outcome::finished);
      from.emplace(open_run_checkpoint(directory, "last"));
    }
  }
  std::string file(const std::string& name) const { return directory_.file(name); }
  StepState state() const { return (*kit_)->state(); }
  static std::vector<std::int64_t> numbers(std::int64_t from, std::int64_t to) {
    std::vector<std::int64_t> all;
    for (; from < to; ++from) all.push_back(from);
    return all;
  }
  // That the last run took the batches [0, end of the first) and [begin of the second, end).
  void expect_batches(std::int64_t end, std::int64_t begin_again, std::int64_t last) const {
    std::vector<std::int64_t> want = numbers(0, end);
    for (std::int64_t batch : numbers(begin_again, last)) want.push_back(batch);
    EXPECT_EQ(kit_->backend.batches(), want);
  }
  // Every file that could be resumed is whole and finite: Checkpoint::open proves both.
  static void expect_finite_files(const std::string& directory) {
    int count = 0;
    for (const auto& entry : fs::directory_iterator(directory)) {
      const std::string name = entry.path().filename().string();
      if (name.find(".bin") == std::string::npos) continue;
      EXPECT_NO_THROW(Checkpoint::open(entry.path().string())) << name;
      ++count;
    }
    EXPECT_GE(count, 4);
  }

  test::TempDirectory directory_;
  std::optional<PoisonedKit> kit_;
  std::optional<Recorder> recorder_;
};

// S1-50, T16
TEST_F(Poisoned, AStepOfLuckIsSkippedAndSaid) {
  for (const bool in_loss : {true, false}) {
    const auto batch = [](std::int64_t b) { return b == 17; };
    run(file(in_loss ? "loss" : "grads"), config_of(40), in_loss ? loss_of(batch) : gradient_of(batch));
    expect_batches(40, 0, 0);
    EXPECT_EQ(state().skipped, 1);
    EXPECT_EQ(state().updates, 39);
    EXPECT_TRUE(recorder_->said("Step 18:"));
    EXPECT_EQ((*kit_)->stability().rollbacks(), 0);
  }
}

// S1-50, T16: five steps, 24 to 28. The state after step 20 is the last planned one that a good step came
// after.
TEST_F(Poisoned, FiveInARowSendTheRunBackAndTheirBatchesArePassedOver) {
  const auto batches = [](std::int64_t b) { return b >= 23 && b < 28; };
  for (const bool in_loss : {true, false}) {
    const std::string directory = file(in_loss ? "loss" : "grads");
    run(directory, config_of(40), in_loss ? loss_of(batches) : gradient_of(batches));
    expect_batches(28, 28, 48);
    EXPECT_EQ(state().step, 40);
    EXPECT_EQ(state().updates, 40);
    EXPECT_EQ(state().skipped_batches, 8);
    EXPECT_EQ((*kit_)->stability().rollbacks(), 1);
    EXPECT_TRUE(recorder_->said("step_00000020.bin"));
    expect_finite_files(directory);
    EXPECT_EQ(Checkpoint::open(directory + "/step_00000040.bin").progress().get_integer("skipped_batches"),
              8);
    EXPECT_EQ((*kit_)->epoch_after(40), 2);  // 48 batches of 4 in an epoch of 80
    EXPECT_NEAR((*kit_)->epochs_after(40), 2.4, 1e-12);
  }
}

// S1-50, T16: the state itself is ill from step 17 on, also when the plan says to save it at 20.
TEST_F(Poisoned, OneWeightThatIsNotFiniteIsNeverSavedAndHealedByGoingBack) {
  bool done = false;
  run(file("run"), config_of(40), {.params = [&](const StepState& s, Tensor params) {
        if (s.step == 16 && !std::exchange(done, true)) params.as<float>()[5] = kNaN;
      }});
  expect_batches(22, 22, 52);
  EXPECT_EQ((*kit_)->stability().rollbacks(), 1);
  EXPECT_TRUE(recorder_->said("step_00000010.bin"));
  expect_finite_files(file("run"));
  EXPECT_EQ(state().updates, 40);
}

// A state from which no good step came is suspected when there is one before it.
TEST_F(Poisoned, AnIllStateThatWasSavedIsNotGoneBackToTwice) {
  bool done = false;
  run(file("run"), config_of(40), {.params = [&](const StepState& s, Tensor params) {
        if (s.step == 19 && !std::exchange(done, true))
          std::fill_n(params.as<float>(), params.numel(), 1e30f);  // finite, and saved
      }});
  EXPECT_EQ((*kit_)->stability().rollbacks(), 1);
  expect_batches(25, 25, 55);  // from 10 on
  EXPECT_TRUE(fs::exists(file("run/step_00000020.bin.old")));
}

// S1-50, T16: 11 steps among 60, never two in a row.
TEST_F(Poisoned, ManySkippedStepsSendTheRunBack) {
  run(file("run"), config_of(80), loss_of([](std::int64_t b) { return b >= 30 && b <= 60 && b % 3 == 0; }));
  expect_batches(61, 61, 91);
  EXPECT_EQ(state().skipped_batches, 11);
  EXPECT_EQ((*kit_)->stability().rollbacks(), 1);
  EXPECT_TRUE(recorder_->said("11 of the last 1,000 steps"));
}

// S1-50, T16: a spike of 1e6, of the loss or of one gradient.
TEST_F(Poisoned, ASpikeIsSaidAndBeyondTheLimitSendsTheRunBack) {
  const auto batch = [](std::int64_t b) { return b == 183; };
  for (const bool in_loss : {true, false}) {
    const Poison poison = in_loss ? loss_of(batch, 1e6f) : gradient_of(batch, 1e6f);
    const std::string name = in_loss ? "loss" : "grads";
    Config config = config_of(200);
    config.train.save_interval = 60;
    run(file(name), config, poison);
    EXPECT_TRUE(recorder_->said("Step 184: a spike"));
    EXPECT_EQ((*kit_)->stability().rollbacks(), 0);
    expect_batches(200, 0, 0);

    config.train.spike_z = 1000;
    run(file(name + "-back"), config, poison);
    EXPECT_EQ((*kit_)->stability().rollbacks(), 1);
    expect_batches(184, 184, 204);  // from 180 on
    EXPECT_TRUE(recorder_->said("beyond --spike-z 1000 at step 184"));
  }
}

std::map<std::string, std::string> checkpoints(const std::string& directory) {
  std::map<std::string, std::string> all;
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("step_") && name.find(".bin") != std::string::npos)
      all[name.substr(0, name.find(".bin"))] = test::contents(entry.path());
  }
  return all;
}

// S1-50, T16: nothing finite comes any more. Every good state is still there, bit for bit, set aside or not.
TEST_F(Poisoned, ARunThatGoesBackTooOftenEndsAsDivergedAndLeavesItsFiles) {
  Config config = config_of(40);
  config.train.max_rollbacks = 2;
  run(file("well"), config, {});
  try {
    run(file("run"), config, loss_of([](std::int64_t b) { return b >= 23; }));
    FAIL() << "nothing was thrown";
  } catch (const DivergedError& error) {
    const std::string what = error.what();
    EXPECT_EQ(error.code(), ExitCode::diverged);
    for (const char* part : {"5 steps in a row", "2 times", "--max-rollbacks 2", "--learning-rate", "/run"}) {
      EXPECT_NE(what.find(part), std::string::npos) << part << ": " << what;
    }
  }
  EXPECT_EQ((*kit_)->stability().rollbacks(), 2);
  const auto files = checkpoints(file("run"));
  ASSERT_EQ(files.size(), 2u);
  for (const std::string name : {"step_00000010", "step_00000020"}) {
    const Checkpoint well = Checkpoint::open(file("well/" + name + ".bin"));
    test::TempDirectory copy;
    std::ofstream(copy.file("a.bin"), std::ios::binary) << files.at(name);
    EXPECT_EQ(Checkpoint::open(copy.file("a.bin")).state_hash(), well.state_hash()) << name;
  }
}

TEST_F(Poisoned, ARunWithNothingToGoBackToSaysSo) {
  try {
    run(file("run"), config_of(40), loss_of([](std::int64_t b) { return b >= 3; }));
    FAIL() << "nothing was thrown";
  } catch (const DivergedError& error) {
    EXPECT_NE(std::string(error.what()).find("--save-interval"), std::string::npos) << error.what();
  }
  Config config = config_of(40);
  config.train.max_rollbacks = 0;  // as if there were nothing
  EXPECT_THROW(run(file("never"), config, loss_of([](std::int64_t b) { return b >= 33; })), DivergedError);
}

TEST_F(Poisoned, ALastStepThatSpoilsTheWeightsIsNotSaved) {
  EXPECT_THROW(run(file("run"), config_of(40),
                   {.params =
                        [](const StepState& s, Tensor params) {
                          if (s.step == 39) params.as<float>()[5] = kNaN;
                        }}),
               DivergedError);
  EXPECT_EQ(open_run_checkpoint(file("run"), "last").step(), 30);
}

// The file's bytes but for what it says of its parent: a run that was resumed names what it came from.
std::string bytes_but_parent(const std::string& path) {
  Snapshot snapshot = snapshot_of(Checkpoint::open(path));
  snapshot.progress.set_quoted("parent", "");
  const test::TempDirectory copy;
  save_checkpoint(copy.file("a.bin"), snapshot);
  return test::contents(copy.file("a.bin"));
}

// S1-26, S1-50, T11: stopped before the trouble, in it, just after going back and later, a run takes the
// course of one that was never stopped: the last file is the same in every byte, the windows of the detector
// included.
TEST_F(Poisoned, ResumedAcrossARollbackTheFilesAreTheSame) {
  const auto batches = [](std::int64_t b) { return b >= 23 && b < 28; };
  run(file("whole"), config_of(40), loss_of(batches));
  const std::string whole = bytes_but_parent(file("whole/step_00000040.bin"));
  // 27 reports until the run goes back to 20: step 28 is the trouble. Then 21, 22 …
  for (const std::vector<std::int64_t>& stops :
       {std::vector<std::int64_t>{5}, {22}, {25}, {27}, {28}, {29}, {33}, {22, 3, 8}}) {
    const std::string name = "stopped" + std::to_string(stops.front()) + "-" + std::to_string(stops.size());
    run(file(name), config_of(40), loss_of(batches), stops);
    EXPECT_EQ(bytes_but_parent(file(name + "/step_00000040.bin")) == whole, true) << name;
  }
}

TEST_F(Poisoned, ATextThatIsFedFromTheHostIsPassedOverAlike) {
  const auto batches = [](std::int64_t b) {
    return b >= 22 && b < 27;
  };  // 7 are passed over: the slot changes
  run(file("device"), config_of(40), loss_of(batches));
  ASSERT_TRUE((*kit_)->text_is_on_device());
  const std::uint64_t hash = state_hash((*kit_)->snapshot());
  run(file("host"), config_of(40), loss_of(batches), {}, {.text_stays_on_host = true});
  ASSERT_FALSE((*kit_)->text_is_on_device());
  EXPECT_EQ(state().skipped_batches, 7);
  EXPECT_EQ(state_hash((*kit_)->snapshot()), hash);
}

// A GPU is some steps ahead when the host learns of the trouble: which batches are passed over must not tell.
TEST_F(Poisoned, HowFarTheDeviceIsAheadDoesNotMatter) {
  const auto batches = [](std::int64_t b) { return b >= 22 && b < 27; };
  run(file("prompt"), config_of(40), loss_of(batches));
  const std::string prompt = test::contents(file("prompt/step_00000040.bin"));
  run(file("late"), config_of(40), loss_of(batches), {}, {.steps_are_seen_late = true});
  EXPECT_EQ(test::contents(file("late/step_00000040.bin")) == prompt, true);
  EXPECT_GT(kit_->backend.batches().size(), 47u) << "the steps that were begun in vain";
}

TEST_F(Poisoned, ResumedBeforeASpikeTheDetectorSeesTheSame) {
  Config config = config_of(200);
  config.train.save_interval = 60;
  config.train.spike_z = 1000;
  const Poison poison = loss_of([](std::int64_t b) { return b == 183; }, 1e6f);
  run(file("whole"), config, poison);
  ASSERT_EQ((*kit_)->stability().rollbacks(), 1);
  run(file("stopped"), config, poison, {170, 10});  // in the middle of the window, and just before
  EXPECT_EQ(bytes_but_parent(file("stopped/step_00000200.bin")) ==
                bytes_but_parent(file("whole/step_00000200.bin")),
            true);
}

}  // namespace
}  // namespace zhgpt
