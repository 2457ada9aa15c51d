// TrainingRun: a Trainer in its run directory, with the clock, the logs and whoever watches.
//
// The directory holds config.toml, vocab.json, corpus.tokens, metrics.jsonl, train.log, samples.txt, the
// checkpoints epoch_000001.bin and step_00000500.bin, and two pointers, `latest` and `best`: one line each, a
// file name.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "zhgpt/atomic_file.h"
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
};

class TrainingRun {
 public:
  enum class Outcome { finished, patience, time_up, signalled };

  // REQUIRES: a DirectoryLock on `directory` is held. What the directory holds of a later state than the
  // trainer's is no part of this run: logs are cut back, checkpoints renamed to NAME.old, `latest` and `best`
  // set to what was then.
  TrainingRun(Trainer& trainer, std::string directory, RunObserver& observer);
  ~TrainingRun();

  // Trains until the plan is done, patience or time is out, or *signal becomes non-zero; in every case the
  // last state is saved before it returns. Trouble (stability.h) sends it back to a checkpoint of before,
  // max_rollbacks times; then, or when there is none, it throws DivergedError.
  Outcome run(const std::atomic<int>& signal);

  const std::string& last_checkpoint() const { return last_checkpoint_; }  // path

 private:
  using Clock = std::chrono::steady_clock;

  void be_at(std::int64_t step);
  void point_at_the_past(std::int64_t step);
  StepReport report(const StepState& state) const;
  void log_metrics(const StepReport& report);
  [[nodiscard]] bool all_is_well(bool wait);
  void note_oddities(const StepState& state, const Judgement& judgement);
  void roll_back(const StepState& state, const Judgement& judgement);
  void evaluate(bool counts_for_patience);
  void sample();
  bool save(bool is_epoch, bool is_planned);
  void rotate();
  void append(const char* file, const std::string& text);

  Trainer& trainer_;
  std::string directory_;
  RunObserver& observer_;
  std::string last_checkpoint_;
  std::int64_t last_saved_step_ = -1;
  bool new_best_ = false;  // to be pointed at by the next save
  Clock::time_point started_, last_log_;
  std::int64_t first_step_ = 0, last_logged_step_ = 0, last_seen_step_ = 0;
  double train_loss_ = 0;  // of the last step seen
  double paused_s_ = 0;    // spent on evaluating, sampling and saving since the last log line
};

// Which checkpoint of a run directory is meant: "last" (the newest that is whole), "best", "epoch:N" or the
// version "v:NAME"; or a file itself. `notes`, when given, receives a line for each damaged file passed over. Throws CheckpointError
// when there is none.
Checkpoint open_run_checkpoint(const std::string& directory_or_file, const std::string& which,
                               std::vector<std::string>* notes = nullptr);

}  // namespace zhgpt
