// When a run saves, what it keeps, what stands beside a checkpoint, and what a save that fails leaves behind.
#include <pthread.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <regex>
#include <stdexcept>
#include <thread>

#include "base/fingerprint.h"
#include "train/async_saver.h"
#include "train/poison.h"
#include "train/ranking.h"
#include "train/run_directory.h"
#include "train/run_fixture.h"
#include "train/summary.h"

namespace zhgpt {
namespace {

namespace fs = std::filesystem;
using test::Outcome;
using test::run_id;
using test::TrainerKit;
using Names = std::set<std::string>;

class Saving : public test::RunTest {
 protected:
  void set_policy(const char* policy, std::int64_t max_iters) {
    config_.train.save_policy = policy;
    config_.train.max_iters = max_iters;
    config_.train.save_interval = 0;
  }
  // Nothing can be saved under a name that a directory has.
  void block(std::int64_t step) { fs::create_directory(file(step_file_name(step))); }
  void first_evaluation_is_the_best() {
    recorder_.at_evaluation = [this](const EvaluationReport&) { (*kit_)->evaluations().best_val_loss = 0; };
  }
  std::int64_t named_by(const std::string& name) { return Checkpoint::open(file(pointer(name))).step(); }
};

// ---- when and what
// -------------------------------------------------------------------------------------------

// 20 steps an epoch; at_epoch_boundary counts three of them as one.
// S1-30, S1-34, S1-35, S2-13, S2-15, S2-34
TEST_F(Saving, EachPolicySavesAtItsTimes) {
  const std::vector<std::pair<const char*, Names>> expected = {
      {"last", {"epoch_000003.bin", "step_00000070.bin"}},
      {"every:1", {"epoch_000001.bin", "epoch_000002.bin", "epoch_000003.bin", "step_00000070.bin"}},
      {"every:2", {"epoch_000002.bin", "step_00000070.bin"}},
      {"every:0", {"step_00000070.bin"}},
      {"best+every:2", {"epoch_000002.bin", "step_00000010.bin", "step_00000070.bin"}},
      {"best+last", {"epoch_000003.bin", "step_00000010.bin", "step_00000070.bin"}},
      {"best", {"step_00000010.bin", "step_00000070.bin"}},
  };
  for (const auto& [policy, names] : expected) {
    for (const auto& entry : fs::directory_iterator(directory_.path())) fs::remove(entry.path());
    set_policy(policy, 70);
    config_.train.keep_last = 2;
    make();
    first_evaluation_is_the_best();
    EXPECT_EQ(run(), Outcome::finished);
    EXPECT_EQ(checkpoints(), names) << policy;
    EXPECT_EQ(this->names().contains("best"), std::string(policy).starts_with("best")) << policy;
  }
}

// S1-34, S5-42: what `every` and major_every saved stays, though keep_last alone would let it go
TEST_F(Saving, PeriodicAndMajorCheckpointsStayForEver) {
  set_policy("every:1", 70);
  config_.train.keep_last = 1;
  config_.train.save_interval = 5;
  config_.train.major_every = 25;
  EXPECT_EQ(run(), Outcome::finished);
  EXPECT_EQ(checkpoints(), (Names{"epoch_000001.bin", "step_00000025.bin", "epoch_000002.bin",
                                  "step_00000050.bin", "epoch_000003.bin", "step_00000070.bin"}));
}

TEST_F(Saving, BestWithoutValidationTextIsRefused) {
  set_policy("best", 10);
  kit_.emplace(config_, test::made_up_dataset(81 * 8 + 1, 0, 24));
  EXPECT_THROW(TrainingRun(**kit_, directory_.path(), recorder_), ConfigError);
}

// Losses that follow no order, two of them equal.
const char* const kHistory =
    "{\"step\":1,\"epoch\":0.1,\"train_loss\":3,\"val_loss\":2.5,\"val_accuracy\":0.25}\n"
    "{\"step\":2,\"epoch\":0.1,\"train_loss\":3,\"val_loss\":2,\"val_accuracy\":0.125}\n"
    "{\"step\":3,\"epoch\":0.1,\"train_loss\":3,\"val_loss\":4}\n"
    "{\"step\":4,\"epoch\":0.1,\"train_loss\":3,\"val_loss\":null,\"val_accuracy\":0.5}\n"
    "not JSON\n[1]\n{\"step\":\"5\",\"val_loss\":1}\n"
    "{\"step\":6,\"epoch\":0.1,\"train_loss\":3,\"val_loss\":2,\"val_accuracy\":0.375}\n";

// S1-36, S1-39, S2-14
TEST(RankingOf, EvaluationsIsByValueAndThenTheLaterStepFirst) {
  EXPECT_EQ(Ranking("loss", kHistory).best_first(), (std::vector<std::int64_t>{6, 2, 1, 3}));
  EXPECT_EQ(Ranking("accuracy", kHistory).best_first(), (std::vector<std::int64_t>{6, 1, 2}));
  Ranking more("loss", kHistory);
  more.add(7, {.loss = 1, .accuracy = 0});
  more.add(8, {.loss = std::nan(""), .accuracy = 1});
  EXPECT_EQ(more.best_first(), (std::vector<std::int64_t>{7, 6, 2, 1, 3}));
}

// S1-39, S2-17, S2-18
TEST(RankingOf, AnEvaluationAsGoodAsTheBestIsTheBestButNoImprovement) {
  const EvaluationState fresh, known{.best_val_loss = 2, .best_val_accuracy = 0.5, .best_step = 1};
  const Ranking by_loss("loss", ""), by_accuracy("accuracy", "");
  EXPECT_TRUE(by_loss.is_best({.loss = 9, .accuracy = 0}, fresh));
  EXPECT_FALSE(by_loss.is_best({.loss = HUGE_VAL, .accuracy = 0}, fresh));
  EXPECT_FALSE(by_loss.is_best({.loss = std::nan(""), .accuracy = 0}, fresh));
  EXPECT_TRUE(by_loss.is_best({.loss = 2, .accuracy = 0}, known));
  EXPECT_FALSE(by_loss.is_better({.loss = 2, .accuracy = 0}, known));
  EXPECT_FALSE(by_loss.is_best({.loss = 2.1, .accuracy = 1}, known));
  EXPECT_TRUE(by_accuracy.is_best({.loss = 9, .accuracy = 0.5}, known));
  EXPECT_TRUE(by_accuracy.is_better({.loss = 9, .accuracy = 0.6}, known));
  EXPECT_FALSE(by_accuracy.is_best({.loss = 1, .accuracy = 0.4}, known));
  EXPECT_FALSE(by_accuracy.is_better({.loss = 1, .accuracy = std::nan("")}, known));
}

// S1-36, S4-33, S5-42: a checkpoint goes only when no rule holds it; only this run's own go, with their
// summaries
TEST_F(Saving, RotationRemovesWhatNoRuleKeeps) {
  make();
  TrainerKit other(config_, text());
  other->set_run_id(run_id(2));
  for (std::int64_t step = 1; step <= 8; ++step) {
    (*kit_)->step();
    save_checkpoint(file(step_file_name(step)), (*kit_)->snapshot());
    write_summary(file(step_file_name(step)), (*kit_)->snapshot(), 0, 0);
    if (step > 2) continue;
    other->step();
    save_checkpoint(file("epoch_00000" + std::to_string(step) + ".bin"), other->snapshot());
  }
  write_text_file(file("step_00000004.json"), "{\"mine\": true}\n");
  write_text_file(file("best"), "step_00000003.bin\n");
  KeepRules rules{
      .newest = 2, .ranking = {99, 6, 2, 1}, .best = 2, .always = [](std::int64_t s) { return s == 5; }};
  remove_old_checkpoints(directory_.path(), run_id(1), rules);
  EXPECT_EQ(checkpoints(),
            (Names{"epoch_000001.bin", "epoch_000002.bin", "step_00000002.bin", "step_00000003.bin",
                   "step_00000005.bin", "step_00000006.bin", "step_00000007.bin", "step_00000008.bin"}));
  EXPECT_FALSE(names().contains("step_00000001.json"));
  EXPECT_TRUE(names().contains("step_00000002.json"));
  EXPECT_EQ(test::contents(file("step_00000004.json")), "{\"mine\": true}\n");
}

// S1-37, S2-17: the best one is not the newest, and what comes after the resume is worse
TEST_F(Saving, AResumedRunKnowsTheBestAndDoesNotOverwriteIt) {
  config_.train.keep_last = 1;
  make();
  first_evaluation_is_the_best();
  EXPECT_EQ(run(25), Outcome::signalled);
  ASSERT_EQ(named_by("best"), 10);
  resume();
  EXPECT_EQ((*kit_)->evaluations().best_step, 10);
  EXPECT_EQ((*kit_)->evaluations().best_val_loss, 0);
  EXPECT_EQ(run(), Outcome::finished);
  EXPECT_EQ(named_by("best"), 10);
  EXPECT_EQ(checkpoints(), (Names{"step_00000010.bin", "step_00000040.bin"}));
}

// Where a run was stopped by hand is nothing to go back to from trouble: what is stays, however little is
// kept.
TEST_F(Saving, AStopByHandLeavesWhatARollBackNeeds) {
  config_.train.keep_last = 1;
  config_.train.save_policy = "last";
  config_.train.max_iters = 60;
  EXPECT_EQ(run(25), Outcome::signalled);
  EXPECT_EQ(checkpoints(), (Names{"step_00000020.bin", "step_00000025.bin"}));
  resume();
  EXPECT_EQ(run(28), Outcome::signalled);
  EXPECT_EQ(checkpoints(), (Names{"step_00000020.bin", "step_00000028.bin"}));
  std::vector<std::string> notes;
  const auto back = checkpoint_before_trouble(directory_.path(), run_id(1), 28, &notes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->step(), 20);
  resume();
  EXPECT_EQ(run(40), Outcome::signalled);  // planned, and so enough
  EXPECT_EQ(checkpoints().size(), 1u);
}

// Losses on another text are no measure: what is best is decided anew, also for what keep_best keeps.
TEST_F(Saving, AnotherCorpusForgetsTheBestOfTheOldOne) {
  make();
  best_shall_be_at(10);
  EXPECT_EQ(run(20), Outcome::signalled);
  kit_.reset();
  Dataset other = text();
  other.fingerprint = 1;
  kit_.emplace(open_run_checkpoint(directory_.path(), "last"), std::move(other));
  EXPECT_EQ((*kit_)->evaluations().best_step, -1);
  EXPECT_EQ((*kit_)->evaluations().without_improvement, 0);
  EXPECT_EQ(Ranking("loss", (*kit_)->history()).best_first(), std::vector<std::int64_t>{});
  EXPECT_EQ(run(), Outcome::finished);
  ASSERT_EQ(recorder_.evaluations.size(), 2u);
  EXPECT_TRUE(recorder_.evaluations[0].is_best);
  EXPECT_EQ(Ranking("loss", (*kit_)->history()).best_first().size(), 2u);
  resume();  // with the text of before again
  EXPECT_EQ((*kit_)->evaluations().best_step, -1);
}

// S2-14, S2-18: the likeliest characters counted by hand are what evaluations report, and `best` follows them
TEST_F(Saving, BestByAccuracy) {
  config_.train.best_by = "accuracy";
  config_.train.keep_last = 1;
  EXPECT_EQ(run(), Outcome::finished);
  const auto& all = recorder_.evaluations;
  ASSERT_EQ(all.size(), 4u);
  auto best = all.begin();
  for (auto it = all.begin(); it != all.end(); ++it) {
    EXPECT_EQ(it->is_best, it->val_accuracy >= best->val_accuracy) << it->step;
    if (it->is_best) best = it;
  }
  EXPECT_EQ(named_by("best"), best->step);
  EXPECT_EQ((*kit_)->evaluations().best_val_accuracy, best->val_accuracy);

  Gpt& model = (*kit_)->model();
  const TokenArray& val = text().val;
  const std::int64_t T = 8, V = 24;
  std::int64_t hits = 0;
  for (std::int64_t i = 0; i + 1 < val.count; ++i) {  // windows of T, the last one shorter
    const std::int64_t begin = i / T * T, length = i - begin + 1;
    std::vector<std::int32_t> ids;
    for (std::int64_t t = begin; t <= i; ++t) ids.push_back(val[t]);
    model.backend().upload(model.inputs(1, length).data, ids.data(), length * 4);
    std::vector<float> logits(static_cast<std::size_t>(V));
    model.backend().download(logits.data(), model.last_logits(1, length).data, V * 4);
    hits += std::max_element(logits.begin(), logits.end()) - logits.begin() == val[i + 1];
  }
  EXPECT_GT(hits, 0);
  EXPECT_DOUBLE_EQ(all.back().val_accuracy, static_cast<double>(hits) / static_cast<double>(val.count - 1));
}

// ---- beside the training
// -------------------------------------------------------------------------------------

// A device that fails is no disk that is full: going on would be training on what nobody knows.
TEST_F(Saving, AStateThatTheDeviceDoesNotGiveEndsTheRunAndTheOlderCheckpointStays) {
  std::atomic<bool> is_broken = false;
  test::PoisonedKit kit(config_, text(), {.saved_copy = [&] {
                          if (is_broken) throw DeviceError("the device is gone");
                        }});
  kit->set_run_id(run_id(1));
  recorder_.at_saved = [&](const std::string&) { is_broken = true; };
  std::atomic<int> signal{0};
  EXPECT_THROW(TrainingRun(*kit.trainer, directory_.path(), recorder_).run(signal), DeviceError);
  EXPECT_EQ(recorder_.saved, std::vector<std::string>{file("step_00000010.bin")});
  EXPECT_EQ(checkpoints(), Names{"step_00000010.bin"});
  EXPECT_EQ(named_by("latest"), 10);
  for (const std::string& name : names()) EXPECT_EQ(name.find(".tmp"), std::string::npos) << name;
}

TEST_F(Saving, WithoutAThreadForItASaveFailsAndTheRunGoesOn) {
  make();
  pthread_attr_t usual, impossible;
  ASSERT_EQ(pthread_getattr_default_np(&usual), 0);
  ASSERT_EQ(pthread_getattr_default_np(&impossible), 0);
  pthread_attr_setstacksize(&impossible, std::size_t{1} << 50);  // more than there are addresses
  recorder_.at_step = [&](std::int64_t step) {
    if (step == 15) pthread_setattr_default_np(&impossible);
    if (step == 25) pthread_setattr_default_np(&usual);
  };
  EXPECT_EQ(run(), Outcome::finished);
  ASSERT_EQ(recorder_.notes.size(), 1u);
  EXPECT_NE(recorder_.notes[0].find("step_00000020.bin"), std::string::npos) << recorder_.notes[0];
  EXPECT_EQ(recorder_.saved, (std::vector<std::string>{file("step_00000010.bin"), file("step_00000030.bin"),
                                                       file("step_00000040.bin")}));
}

// S5-43: while steps go on, the bits of the state that the save began with are written
TEST_F(Saving, BesideTheTrainingWritesTheBitsOfASaveOnTheSpot) {
  make();
  AsyncSaver saver(**kit_, directory_.path());
  for (const char* name : {"step_00000003.bin", "step_00000006.bin"}) {
    for (int i = 0; i < 3; ++i) (*kit_)->step();
    Snapshot expected = (*kit_)->snapshot();
    expected.progress.set("planned_save", "false");
    save_checkpoint(file("expected"), expected, true);
    saver.begin({.name = name, .is_best = false, .is_planned = false, .keep = {}});
    (*kit_)->step();
    saver.finished(false);
    for (int i = 0; i < 4; ++i) (*kit_)->step();
    saver.finished(true);
    EXPECT_TRUE(test::contents(file(name)) == test::contents(file("expected"))) << name;
    EXPECT_FALSE(saver.finished(true));
  }
}

TEST_F(Saving, WhoeverLeavesWaitsForTheSave) {
  make();
  {
    AsyncSaver saver(**kit_, directory_.path());
    saver.begin({.name = "step_00000000.bin", .is_best = true, .is_planned = false, .keep = {}});
  }
  EXPECT_EQ(named_by("best"), 0);
  EXPECT_EQ(named_by("latest"), 0);
}

TEST_F(Saving, SavedIsSaidOnTheTrainingThreadWhenTheFileIsThere) {
  const auto here = std::this_thread::get_id();
  recorder_.at_saved = [&](const std::string& path) {
    EXPECT_EQ(std::this_thread::get_id(), here);
    const std::int64_t step = Checkpoint::open(path).step();
    EXPECT_EQ(named_by("latest"), step);
    EXPECT_GE((*kit_)->steps_done(), step);
    EXPECT_TRUE(is_summary(summary_path(path)));
  };
  EXPECT_EQ(run(), Outcome::finished);
  EXPECT_EQ(recorder_.saved.size(), 4u);
}

TEST_F(Saving, AnExceptionWaitsForTheSaveUnderWay) {
  recorder_.at_step = [](std::int64_t step) {
    if (step == 11) throw std::runtime_error("as a device that is lost");
  };
  EXPECT_THROW(run(), std::runtime_error);
  EXPECT_EQ(recorder_.saved, std::vector<std::string>{file("step_00000010.bin")});
  EXPECT_EQ(named_by("latest"), 10);
}

// ---- saves that fail
// -----------------------------------------------------------------------------------------

// S1-38
TEST_F(Saving, AFailedSaveDoesNotMoveTheBest) {
  config_.train.eval_interval = 10;
  block(20);
  EXPECT_EQ(run(25), Outcome::signalled);
  ASSERT_TRUE(recorder_.evaluations.size() == 2 &&
              recorder_.evaluations[1].is_best);  // so there was one to move to
  ASSERT_EQ(recorder_.notes.size(), 1u);
  EXPECT_NE(recorder_.notes[0].find("step_00000020.bin"), std::string::npos);
  EXPECT_EQ(recorder_.saved,
            (std::vector<std::string>{file("step_00000010.bin"), file("step_00000025.bin")}));
  EXPECT_EQ(named_by("best"), 10);
  EXPECT_EQ((*kit_)->evaluations().best_step, 10);
  const Checkpoint last = Checkpoint::open(file("step_00000025.bin"));
  EXPECT_EQ(last.progress().get_integer("best_step"), 10);
  EXPECT_EQ(last.progress().get_real("best_val_loss"), recorder_.evaluations[0].val_loss);
}

TEST_F(Saving, ThreeFailuresInARowEndTheRunAndTouchNothing) {
  config_.train.keep_last = 1;
  for (std::int64_t step : {20, 30, 40}) block(step);
  config_.train.max_iters = 100;
  make();
  std::string before;
  recorder_.at_saved = [&](const std::string& path) { before = test::contents(path); };
  try {
    run();
    FAIL() << "the run went on";
  } catch (const IoError& error) {
    EXPECT_EQ(error.code(), ExitCode::io);
    EXPECT_NE(std::string(error.what()).find("step_00000040.bin"), std::string::npos) << error.what();
  }
  EXPECT_LE((*kit_)->steps_done(), 50);
  EXPECT_EQ(recorder_.notes.size(), 2u);
  EXPECT_FALSE(before.empty());
  EXPECT_TRUE(test::contents(file("step_00000010.bin")) == before);
  EXPECT_EQ(pointer("latest"), "step_00000010.bin");
  for (const std::string& name : names()) EXPECT_EQ(name.find(".tmp-"), std::string::npos) << name;
}

TEST_F(Saving, ASaveThatSucceedsForgivesTheFailuresBefore) {
  for (std::int64_t step : {10, 20, 40, 50}) block(step);
  config_.train.max_iters = 60;
  EXPECT_EQ(run(), Outcome::finished);
  EXPECT_EQ(recorder_.notes.size(), 4u);
  EXPECT_EQ(named_by("latest"), 60);
}

TEST_F(Saving, ALastStateThatCannotBeSavedIsAnError) {
  block(40);
  EXPECT_THROW(run(), IoError);
  EXPECT_EQ(named_by("latest"), 30);
  EXPECT_EQ(recorder_.saved.size(), 3u);
}

// ---- beside a checkpoint
// --------------------------------------------------------------------------------------

// S1-20, S1-21, S2-8: what `cat` shows
TEST_F(Saving, TheSummarySaysWhatTheCheckpointIs) {
  make();
  (*kit_)->set_command("zhgpt train '诗.txt'");
  EXPECT_EQ(run(20), Outcome::signalled);
  const Checkpoint checkpoint = Checkpoint::open(file("step_00000020.bin"));
  const auto summary = nlohmann::json::parse(test::contents(file("step_00000020.json")));
  EXPECT_EQ(summary.at("format"), "zhgpt-summary");
  EXPECT_EQ(summary.at("checkpoint"), "step_00000020.bin");
  EXPECT_EQ(summary.at("bytes"), checkpoint.file_bytes());
  EXPECT_EQ(summary.at("state_hash"), fingerprint_text(checkpoint.state_hash()));
  EXPECT_EQ(summary.at("step"), 20);
  EXPECT_EQ(summary.at("epoch"), 1);
  EXPECT_EQ(summary.at("train_loss"), checkpoint.progress().get_real("train_loss"));
  EXPECT_EQ(summary.at("last_val_loss"), recorder_.evaluations.back().val_loss);
  EXPECT_EQ(summary.at("last_val_accuracy"), recorder_.evaluations.back().val_accuracy);
  EXPECT_EQ(summary.at("learning_rate"), learning_rate_at(config_.train, 20, 40));
  EXPECT_EQ(summary.at("parent"), "");
  EXPECT_EQ(summary.at("command"), "zhgpt train '诗.txt'");
  EXPECT_EQ(summary.at("corpus_fingerprint"), "0123456789abcdef");
  EXPECT_EQ(summary.at("config").at("save_policy"), "best+last");
  EXPECT_EQ(summary.at("config").at("n_embd"), 16);
  const std::string time = summary.at("timestamp");
  EXPECT_TRUE(std::regex_match(time, std::regex("[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")))
      << time;
}

// S1-40: a run goes on from checkpoints alone
TEST_F(Saving, SummariesThatAreDamagedOrForeignAreLeftAlone) {
  make();
  write_text_file(file("step_00000030.json"), "{\"mine\": true}\n");
  EXPECT_EQ(run(15), Outcome::signalled);
  write_text_file(file("step_00000015.json"), "{\n  \"format\": \"zhgpt-summary\", and then nothing");
  write_text_file(file("step_00000010.json"), "");
  resume();
  EXPECT_EQ((*kit_)->evaluations().best_step, 10);
  EXPECT_EQ(run(), Outcome::finished);
  EXPECT_EQ(test::contents(file("step_00000030.json")), "{\"mine\": true}\n");
  ASSERT_EQ(recorder_.notes.size(), 1u);
  EXPECT_NE(recorder_.notes[0].find("step_00000030.json"), std::string::npos);
  EXPECT_TRUE(is_summary(file("step_00000040.json")));
}

// The parent of all that a process saves is what it started from.
TEST_F(Saving, ACheckpointNamesWhatItCameFrom) {
  make();
  (*kit_)->set_command("zhgpt train a.txt");
  EXPECT_EQ(run(20), Outcome::signalled);
  const Checkpoint parent = Checkpoint::open(file("step_00000020.bin"));
  EXPECT_EQ(parent.progress().get_quoted("parent"), "");
  EXPECT_EQ(parent.progress().get_quoted("command"), "zhgpt train a.txt");
  resume();
  (*kit_)->set_command("zhgpt resume out");
  EXPECT_EQ(run(), Outcome::finished);
  for (const char* name : {"step_00000030.bin", "step_00000040.bin"}) {
    const Checkpoint child = Checkpoint::open(file(name));
    EXPECT_EQ(child.progress().get_quoted("parent"), fingerprint_text(parent.state_hash()));
    EXPECT_EQ(child.progress().get_quoted("command"), "zhgpt resume out");
  }
}

// S1-43
TEST_F(Saving, VerifiedSavesAreReadBack) {
  config_.train.verify_saves = true;
  EXPECT_EQ(run(), Outcome::finished);
  EXPECT_EQ(recorder_.saved.size(), 4u);
  const std::uint64_t hash = Checkpoint::open(file("step_00000040.bin")).state_hash();
  verify_saved(file("step_00000040.bin"), hash);
  EXPECT_THROW(verify_saved(file("step_00000040.bin"), hash + 1), IoError);
  EXPECT_FALSE(names().contains("step_00000040.bin"));
  fs::resize_file(file("step_00000030.bin"), 5000);
  EXPECT_THROW(verify_saved(file("step_00000030.bin"), hash), IoError);
  EXPECT_FALSE(names().contains("step_00000030.bin"));
}

}  // namespace
}  // namespace zhgpt
