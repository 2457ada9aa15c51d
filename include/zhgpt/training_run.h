// TrainingRun: a Trainer in its run directory, with the clock, the logs and whoever watches.
//
// Saving goes on beside the training (src/train/async_saver.h): one save at a time, and a checkpoint is
// "saved" when it is durable. A save that fails leaves all older files as they are, and the training goes on;
// three in a row end it.
//
// The directory holds config.toml, vocab.json, corpus.tokens, metrics.jsonl, train.log, samples.txt, the
// checkpoints epoch_000001.bin and step_00000500.bin, a summary beside each (epoch_000001.json), and two
// pointers, `latest` and `best`: one line each, a file name.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "zhgpt/atomic_file.h"
#include "zhgpt/config.h"
#include "zhgpt/profile.h"
#include "zhgpt/trainer.h"

namespace zhgpt {

struct StepReport {
  std::int64_t step = 0, total_steps = 0;  // steps done
  double epoch = 0;                        // passes over the corpus, with fraction
  StepState state;                         // after the step
  double learning_rate = 0;                // that the step used
  double characters_per_s = 0;             // since the last report of a log line
  double seconds_left = 0;
};

struct EvaluationReport {
  std::int64_t step = 0;
  double epoch = 0, train_loss = 0, val_loss = 0;
  double val_accuracy = 0;  // how many characters were the likeliest, 0 to 1
  bool is_best = false;
};

// What a run tells while it goes. All are called on the training thread, between steps.
class RunObserver {
 public:
  virtual ~RunObserver() = default;
  virtual void on_step(const StepReport& report, bool log_line) = 0;
  virtual void on_evaluation(const EvaluationReport& report) = 0;
  virtual void on_saved(const std::string& path) = 0;
  virtual void on_sample(const std::string& text) = 0;
  virtual void on_note(const std::string& text) = 0;  // a warning worth reading
  virtual void on_profile(const Profile&) {}          // it is finished
};

class AsyncSaver;
class Ranking;

class TrainingRun {
 public:
  enum class Outcome { finished, patience, time_up, signalled };

  // REQUIRES: a DirectoryLock on `directory` is held. What the directory holds of a later state than the
  // trainer's is no part of this run: logs are cut back, checkpoints renamed to NAME.old, `latest` and `best`
  // set to what was then. Throws ConfigError when save_policy needs validation text and there is none.
  TrainingRun(Trainer& trainer, std::string directory, RunObserver& observer);
  ~TrainingRun();

  // Trains until the plan is done, patience or time is out, or *signal becomes non-zero; in every case the
  // last state is saved before it returns, and no save is under way when it returns or throws. Trouble
  // (stability.h) sends it back to a checkpoint of before, max_rollbacks times; then, or when there is none,
  // it throws DivergedError. Throws IoError after three saves in a row that failed or when the last state
  // could not be saved.
  Outcome run(const std::atomic<int>& signal);

  // `run` is to watch the profile's steps, and to finish it. REQUIRES: it outlives this.
  void watch(Profile& profile) { profile_ = &profile; }

  const std::string& last_checkpoint() const { return last_checkpoint_; }  // path

 private:
  using Clock = std::chrono::steady_clock;

  Outcome train(const std::atomic<int>& signal);
  void be_at(std::int64_t step);
  void point_at_the_past(std::int64_t step);
  StepReport report(const StepState& state) const;
  void log_metrics(const StepReport& report);
  [[nodiscard]] bool all_is_well(bool wait);
  void note_oddities(const StepState& state, const Judgement& judgement);
  void roll_back(const StepState& state, const Judgement& judgement);
  void evaluate(bool counts_for_patience);
  void sample();
  bool is_milestone(std::int64_t step) const;  // its checkpoint is kept for ever
  void save(bool is_planned);
  bool look_at_save(bool wait);  // false: it was of a state that is not finite
  void finish_saving();
  void begin_step();      // of the profile's, if it is one
  void finish_profile();  // if there is one
  void append(const char* file, const std::string& text);

  Trainer& trainer_;
  std::string directory_;
  RunObserver& observer_;
  SavePolicy policy_;
  std::unique_ptr<Ranking> ranking_;
  std::string last_checkpoint_;
  std::int64_t last_saved_step_ = -1, failed_in_a_row_ = 0;
  std::string save_error_;  // of the save that failed last
  bool new_best_ = false;   // to be pointed at by the next save
  // What was best before a new best that is not durable yet; it is the best again when that cannot be saved.
  std::optional<EvaluationState> durable_best_;
  Clock::time_point started_, last_log_;
  std::int64_t first_step_ = 0, last_logged_step_ = 0, last_seen_step_ = 0;
  double train_loss_ = 0;  // of the last step seen
  double paused_s_ = 0;    // spent on evaluating, sampling and saving since the last log line
  std::unique_ptr<AsyncSaver> saver_;
  Profile* profile_ = nullptr;  // until it is finished
  std::int64_t steps_begun_ = 0;
};

// Which checkpoint of a run directory is meant: "last" (the newest that is whole), "best", "epoch:N" or the
// version "v:NAME"; or a file itself. `notes`, when given, receives a line for each damaged file passed over.
// Throws CheckpointError when there is none.
Checkpoint open_run_checkpoint(const std::string& directory_or_file, const std::string& which,
                               std::vector<std::string>* notes = nullptr);

}  // namespace zhgpt
