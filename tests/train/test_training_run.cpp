// A run in its directory: which files appear, which go, and when it stops.
#include "train/run_fixture.h"

namespace zhgpt {
namespace {

namespace fs = std::filesystem;
using test::Outcome;
using test::Recorder;
using test::run_id;
using test::TrainerKit;
class Run : public test::RunTest {};

TEST_F(Run, LeavesItsFilesAndPointersThatOpen) {
  EXPECT_EQ(run(), Outcome::finished);
  for (const char* name : {"config.toml", "metrics.jsonl", "samples.txt", "latest", "best"}) {
    EXPECT_TRUE(names().contains(name)) << name;
  }
  EXPECT_EQ(Config::from_key_values(KeyValues::parse(test::contents(file("config.toml")), "t")).train.max_iters, 40);
  EXPECT_EQ(Checkpoint::open(file(pointer("latest"))).step(), 40);
  const Checkpoint best = Checkpoint::open(file(pointer("best")));
  EXPECT_EQ(best.step(), (*kit_)->evaluations().best_step);
  EXPECT_EQ(best.progress().get_real("best_val_loss"), (*kit_)->evaluations().best_val_loss);
  EXPECT_EQ(open_run_checkpoint(directory_.path(), "last").step(), 40);
  EXPECT_EQ(open_run_checkpoint(directory_.path(), "best").step(), best.step());
  EXPECT_EQ(recorder_.evaluations.size(), 4u);
  EXPECT_EQ(recorder_.samples, 4);
}

TEST_F(Run, RotationKeepsTheNewestAndTheBestAndTouchesNothingElse) {
  TrainerKit other(config_, text());
  other->set_run_id(run_id(2));
  save_checkpoint(file("step_00000002.bin"), other->snapshot());
  write_text_file(file("step_00000003.bin"), "not a checkpoint\n");
  write_text_file(file("notes.txt"), "mine\n");
  config_.train.keep_last = 2;
  config_.train.eval_interval = 0;
  config_.train.save_interval = 4;
  config_.train.max_iters = 36;
  make();
  best_shall_be_at(4);
  EXPECT_EQ(run(4), Outcome::signalled);
  EXPECT_EQ(run(), Outcome::finished);
  EXPECT_EQ(checkpoints(), (std::set<std::string>{"step_00000002.bin", "step_00000003.bin", "step_00000004.bin",
                                                  "step_00000032.bin", "step_00000036.bin"}));
  EXPECT_EQ(test::contents(file("notes.txt")), "mine\n");
  EXPECT_EQ(test::contents(file("step_00000003.bin")), "not a checkpoint\n");
}

TEST_F(Run, AResumedRunSaysWhatAnUninterruptedOneWouldHaveSaid) {
  config_.train.keep_last = 10;
  EXPECT_EQ(run(), Outcome::finished);
  const std::string samples = test::contents(file("samples.txt")), history = (*kit_)->history();
  fs::remove(file("step_00000040.bin"));
  fs::remove(file("step_00000030.bin"));
  resume();
  EXPECT_EQ((*kit_)->steps_done(), 20);
  {
    Recorder recorder;
    const TrainingRun cut(**kit_, directory_.path(), recorder);
    const std::string metrics = test::contents(file("metrics.jsonl"));
    EXPECT_EQ(metrics.find("{\"step\":21,"), std::string::npos);
    EXPECT_NE(metrics.find("{\"step\":20,"), std::string::npos);
    EXPECT_EQ(test::contents(file("samples.txt")), samples.substr(0, samples.find("== step 30\n")));
  }
  EXPECT_EQ(run(), Outcome::finished);
  EXPECT_EQ(test::contents(file("samples.txt")), samples);
  EXPECT_EQ((*kit_)->history(), history);
}

// What comes after the state that a run goes back to is another course of events: neither `last`, `latest`
// nor `best` may lead there, nor may the rotation prefer it to what is saved now.
TEST_F(Run, GoingBackSetsTheAbandonedCheckpointsAside) {
  config_.train.keep_last = 2;
  make();
  best_shall_be_at(20);
  EXPECT_EQ(run(20), Outcome::signalled);
  EXPECT_EQ(run(), Outcome::finished);
  ASSERT_EQ(checkpoints(),
            (std::set<std::string>{"step_00000020.bin", "step_00000030.bin", "step_00000040.bin"}));
  resume("step_00000020.bin");
  EXPECT_EQ(run(25), Outcome::signalled);
  EXPECT_EQ(checkpoints(), (std::set<std::string>{"step_00000020.bin", "step_00000025.bin"}));
  EXPECT_TRUE(names().contains("step_00000030.bin.old") && names().contains("step_00000040.bin.old"));
  EXPECT_EQ(Checkpoint::open(file("step_00000040.bin.old")).step(), 40);
  ASSERT_EQ(recorder_.notes.size(), 1u);
  EXPECT_NE(recorder_.notes[0].find(".bin.old"), std::string::npos) << recorder_.notes[0];
  EXPECT_EQ(pointer("latest"), "step_00000025.bin");
  EXPECT_EQ(pointer("best"), "step_00000020.bin");
  EXPECT_EQ(open_run_checkpoint(directory_.path(), "last").step(), 25);
}

TEST_F(Run, GoingBackPointsBestAtTheBestUntilThen) {
  config_.train.keep_last = 10;
  make();
  best_shall_be_at(10);
  EXPECT_EQ(run(), Outcome::finished);
  write_text_file(file("best"), "step_00000040.bin\n");  // as if the run had become better after all
  resume("step_00000020.bin");
  {
    const TrainingRun back(**kit_, directory_.path(), recorder_);
    EXPECT_EQ(pointer("best"), "step_00000010.bin");
    EXPECT_EQ(pointer("latest"), "step_00000020.bin");
  }
  // A file of that step, but of other events: it is not what the loss was measured on.
  (*kit_)->evaluations().best_val_loss = 0.5;
  recorder_.notes.clear();
  const TrainingRun elsewhere(**kit_, directory_.path(), recorder_);
  EXPECT_FALSE(names().contains("best"));
  EXPECT_EQ(recorder_.notes.size(), 1u);
}

TEST_F(Run, GoingBackSaysWhenTheBestUntilThenIsGone) {
  config_.train.keep_last = 10;
  make();
  best_shall_be_at(10);
  EXPECT_EQ(run(), Outcome::finished);
  fs::remove(file("step_00000010.bin"));
  resume("step_00000020.bin");
  EXPECT_EQ(run(), Outcome::finished);
  ASSERT_EQ(recorder_.notes.size(), 2u);
  EXPECT_NE(recorder_.notes[1].find("step 10"), std::string::npos) << recorder_.notes[1];
  EXPECT_FALSE(names().contains("best"));
  EXPECT_THROW(open_run_checkpoint(directory_.path(), "best"), CheckpointError);
}

// S1-50: early stopping. The weights of the best evaluation are what `best` points at; the trainer ends with its last.
TEST_F(Run, PatienceCountsEvaluationsAlsoAcrossAResume) {
  config_.train.patience = 3;
  make();
  (*kit_)->evaluations().best_val_loss = 0;  // nothing will be better
  EXPECT_EQ(run(20), Outcome::signalled);
  resume();
  EXPECT_EQ((*kit_)->evaluations().without_improvement, 2);
  EXPECT_EQ(run(), Outcome::patience);
  EXPECT_EQ((*kit_)->steps_done(), 30);
  EXPECT_EQ(Checkpoint::open(file(pointer("latest"))).step(), 30);
}

TEST_F(Run, ASignalSavesAtOnce) {
  EXPECT_EQ(run(7), Outcome::signalled);
  EXPECT_EQ((*kit_)->steps_done(), 7);
  EXPECT_EQ(pointer("latest"), "step_00000007.bin");
  EXPECT_EQ(Checkpoint::open(file("step_00000007.bin")).state_hash(), state_hash((*kit_)->snapshot()));
}

TEST_F(Run, TimeIsUp) {
  config_.train.max_time = 1e-9;
  EXPECT_EQ(run(), Outcome::time_up);
  EXPECT_EQ((*kit_)->steps_done(), 0);
  EXPECT_EQ(Checkpoint::open(file(pointer("latest"))).step(), 0);
}

TEST_F(Run, EpochsAreSavedUnderTheirNumber) {
  config_.train.max_iters = 60;  // 20 steps an epoch, told in groups of three
  config_.train.save_interval = 0;
  config_.train.eval_interval = 0;
  EXPECT_EQ(run(), Outcome::finished);
  EXPECT_EQ(checkpoints(), (std::set<std::string>{"epoch_000003.bin"}));
  EXPECT_EQ(open_run_checkpoint(directory_.path(), "epoch:3").step(), 60);
  EXPECT_THROW(open_run_checkpoint(directory_.path(), "epoch:2"), Error);
  EXPECT_THROW(open_run_checkpoint(directory_.path(), "epoch:x"), ConfigError);
  EXPECT_THROW(open_run_checkpoint(directory_.path(), "newest"), ConfigError);
}

TEST_F(Run, ADamagedNewestFileIsPassedOverAndSaidSo) {
  run();
  const std::string newest = file(pointer("latest"));
  std::string bytes = test::contents(newest);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  std::ofstream(newest, std::ios::binary) << bytes;
  std::vector<std::string> notes;
  EXPECT_EQ(open_run_checkpoint(directory_.path(), "last", &notes).step(), 30);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find(newest), std::string::npos);
  EXPECT_THROW(open_run_checkpoint(newest, "last"), CheckpointError);
}

TEST_F(Run, AnEmptyDirectoryHasNoCheckpoint) {
  for (const char* which : {"last", "best"}) {
    EXPECT_THROW(open_run_checkpoint(directory_.path(), which), CheckpointError) << which;
  }
}

}  // namespace
}  // namespace zhgpt
