// Trainer: model, optimizer, data and counters of one run; one step at a time, saved and restored to the bit.
//
// A Trainer knows nothing of files and time: it can be stepped, evaluated, turned into a Snapshot and rebuilt
// from a Checkpoint. What it computes next is a function of that state alone. `TrainingRun` (training_run.h)
// adds the run directory, the clock and the user.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "zhgpt/checkpoint.h"
#include "zhgpt/config.h"
#include "zhgpt/dataset.h"
#include "zhgpt/gpt.h"
#include "zhgpt/optimizer.h"
#include "zhgpt/stability.h"

namespace zhgpt {

// What early stopping and `best` remember, as it is saved. The best evaluation is that of best_step; which
// that is, config.train.best_by decides.
struct EvaluationState {
  double best_val_loss = std::numeric_limits<double>::infinity();
  double best_val_accuracy = 0;
  std::int64_t best_step = -1;
  std::int64_t last_step = -1;           // of the last evaluation
  std::int64_t without_improvement = 0;  // evaluations since the best, for --patience
  double last_val_loss = std::numeric_limits<double>::infinity();
  double last_val_accuracy = 0;
};

// Loss and accuracy over a text, every character but the first predicted from those before it.
struct EvaluationResult {
  double loss = 0;        // mean, nats a token
  double accuracy = 0;    // how many of the tokens were the likeliest, 0 to 1
  double accuracy_5 = 0;  // how many were among the five likeliest
  std::int64_t tokens = 0;
};
// What the model made of token `index` of the text: its loss in nats, its rank as in HeadLoss.
using TokenScored = std::function<void(std::int64_t index, double loss, std::int32_t rank)>;

class TextFeed;

class Trainer {
 public:
  // A fresh run. config.model.vocab_size must be the vocabulary's. Takes all memory that it ever will on the
  // device. Throws DataError when the training text is shorter than one window, OutOfMemory (see make_trainer
  // in plan.h).
  Trainer(Backend& backend, const Config& config, Dataset& dataset);
  // Goes on from a checkpoint, with `config` (its own, changed at most in what does not shape the model).
  // Throws CheckpointError when the tensors are not exactly this model's.
  Trainer(Backend& backend, const Config& config, Dataset& dataset, const Checkpoint& from);
  ~Trainer();

  const Config& config() const { return config_; }
  const Vocabulary& vocab() const { return dataset_.vocab; }
  Gpt& model() { return *model_; }
  Backend& backend() { return backend_; }

  std::int64_t total_steps() const { return total_steps_; }
  std::int64_t samples_per_step() const;
  std::int64_t tokens_per_step() const { return samples_per_step() * config_.model.block_size; }
  // Whole passes over the corpus after so many steps, those that roll-backs passed over included.
  std::int64_t epoch_after(std::int64_t steps) const;
  double epochs_after(std::int64_t steps) const;  // the same with its fraction
  // True when the step just done completed an epoch. Epochs shorter than 50 steps are counted in groups, so
  // that tiny corpora are not evaluated and saved at every step; a function of the state alone, so a resumed
  // run agrees.
  bool at_epoch_boundary() const;
  bool completes_epochs(std::int64_t step, std::int64_t count) const;  // step completes a multiple of `count`

  // Puts the next step on the device; it may not be done when this returns.
  void step();
  StepState state() const;  // after the last step; waits for the device
  // The states after the steps that were done since the last call, oldest first; with `wait` those of all
  // steps begun. A call that does not wait may return fewer. REQUIRES: one call every kHistory / 2 steps or
  // more often.
  static constexpr std::int64_t kHistory = 64;
  std::span<const StepState> finished_steps(bool wait);
  std::int64_t steps_done() const { return steps_done_; }
  double current_learning_rate() const { return learning_rate_at(config_.train, steps_done_, total_steps_); }

  // Over at most `max_batches` batches spread evenly over the validation text; a loss of NaN when there is
  // none.
  EvaluationResult evaluate(std::int64_t max_batches);
  bool has_validation() const;
  bool text_is_on_device() const;  // the whole of it; otherwise each step's windows are sent there
  EvaluationState& evaluations() { return evaluations_; }
  Stability& stability() { return stability_; }  // saved and restored
  std::string& history() { return history_; }    // JSON lines: evaluations, and where the text changed; saved

  // Goes back to a checkpoint of this run and passes over the batches of all steps from there up to and with
  // `trouble`, a step that was done: "restart training from a checkpoint roughly 100 steps before the spike
  // started, and skip roughly 200-500 data batches" (A. Chowdhery et al., PaLM, 2022, 5.1). Counts the
  // roll-back.
  void roll_back(const Checkpoint& to, std::int64_t trouble);

  // REQUIRES: no step runs while the snapshot is read. Reads device memory lazily, tensor by tensor.
  Snapshot snapshot();
  // The same, read from a copy on the device that is taken now: steps may go on meanwhile, and one other
  // thread may read it, until the next call. Through this much of the host's memory, twice, where the device
  // is not the host:
  static constexpr std::int64_t kSavePieceBytes = std::int64_t{16} << 20;
  Snapshot copied_snapshot();
  std::int64_t host_bytes_to_save() const;  // of those two pieces
  void set_run_id(const RunId& id) { run_id_ = id; }
  const RunId& run_id() const { return run_id_; }
  // Where its checkpoints come from, as they say themselves: the state hash of the checkpoint that this
  // Trainer was made from, "" for a fresh run; and the command line, one line of UTF-8.
  void set_command(std::string command) { command_ = std::move(command); }

 private:
  void upload_state(const StepState& state);
  void upload_learning_rates();
  void run_step();
  void take_history();
  StepState* device_state() const { return static_cast<StepState*>(state_buffer_.data()); }
  void restore(const Checkpoint& from);
  Snapshot records();  // a snapshot without its tensors

  Backend& backend_;
  Config config_;
  Dataset& dataset_;
  std::unique_ptr<Gpt> model_;
  std::unique_ptr<Optimizer> optimizer_;
  Buffer state_buffer_, history_buffer_, rates_buffer_;
  std::vector<float> rates_;
  std::unique_ptr<DeviceCopy> copy_;
  std::unique_ptr<TextFeed> text_;
  std::unique_ptr<Recording> recorded_step_;
  std::unique_ptr<Readback> history_readback_;
  std::vector<StepState> finished_;
  std::int64_t steps_seen_ = 0;  // whose states finished_steps has returned
  std::int64_t steps_read_ = 0;  // done before the readback under way, if any: steps_read_ > steps_seen_
  DataOrder order_;
  std::int64_t total_steps_ = 0, steps_done_ = 0, skipped_batches_ = 0;
  Stability stability_;
  EvaluationState evaluations_;
  std::string history_;
  RunId run_id_{};
  std::string parent_, command_;
};

// The backend that a run of this configuration asks for, and the same, dry; throw as those of backend.h do. A
// dry one counts our own attention in the place of cuDNN's.
std::unique_ptr<Backend> make_backend(const TrainConfig& config);
std::unique_ptr<Backend> make_dry_backend(const TrainConfig& config, std::int64_t memory_bytes);

// Steps that a run of this configuration takes: the smallest of the limits given, 10 epochs when none is.
std::int64_t planned_steps(const TrainConfig& config, const DataOrder& order);

// Of a model on a token stream in windows of its block_size, the last one shorter: every token but the first
// is predicted once. `max_windows` 0: all. `scored`, when given, is told of each, in the order of the text.
// For validation and for `zhgpt eval`.
EvaluationResult evaluate_tokens(Gpt& model, std::int64_t max_batch, const TokenArray& tokens,
                                 std::int64_t max_windows, const TokenScored& scored = {});

// The configuration in a checkpoint of a whole model. Throws CheckpointError when it is not one of this
// program, or when the file holds only a part of a model (split.h).
Config config_of(const Checkpoint& checkpoint);
// The same of a checkpoint that may hold a part: that of the whole model.
Config whole_config_of(const Checkpoint& checkpoint);

}  // namespace zhgpt
