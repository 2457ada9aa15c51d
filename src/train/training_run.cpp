#include "zhgpt/training_run.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "train/run_directory.h"
#include "zhgpt/error.h"
#include "zhgpt/sampler.h"

namespace zhgpt {
namespace {

constexpr std::int64_t kEvaluationBatches = 200;
constexpr std::int64_t kSampleCharacters = 80;
// A GPU works through steps that wait in line; so many keep it busy, and few enough are in line when a run is
// stopped.
constexpr std::int64_t kMostStepsAhead = 8;

double seconds(std::chrono::steady_clock::duration d) {
  return std::chrono::duration<double>(d).count();
}

bool is_multiple(std::int64_t step, std::int64_t interval) {
  return interval > 0 && step % interval == 0;
}

// Whether the file is the state that reached the best loss, and not one of the same step in other events.
bool holds_best(const std::string& path, const EvaluationState& e) {
  try {
    const Checkpoint checkpoint = Checkpoint::open(path);
    return checkpoint.progress().get_integer("best_step") == e.best_step &&
           checkpoint.progress().get_real("best_val_loss") == e.best_val_loss;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

TrainingRun::TrainingRun(Trainer& trainer, std::string directory, RunObserver& observer)
    : trainer_(trainer), directory_(std::move(directory)), observer_(observer) {
  write_text_file(directory_ + "/config.toml", trainer_.config().to_key_values().to_string());
  first_step_ = trainer_.steps_done();
  be_at(first_step_);
}

TrainingRun::~TrainingRun() = default;

// Run and directory as they would be had the run never gone beyond this step.
void TrainingRun::be_at(std::int64_t step) {
  last_logged_step_ = last_seen_step_ = step;
  cut_logs_after(directory_, step);
  point_at_the_past(step);
}

void TrainingRun::point_at_the_past(std::int64_t step) {
  const RunId& run = trainer_.run_id();
  const EvaluationState& e = trainer_.evaluations();
  const std::int64_t moved = set_aside_after(directory_, run, step);
  if (moved > 0) observer_.on_note(tr(Msg::went_back, step, moved, directory_));
  write_pointer(directory_, "latest", checkpoint_at(directory_, run, step));
  std::string best = checkpoint_at(directory_, run, e.best_step);
  if (!best.empty() && !holds_best(directory_ + "/" + best, e)) best.clear();
  write_pointer(directory_, "best", best);
  if (best.empty() && e.best_step >= 0) observer_.on_note(tr(Msg::best_is_gone, e.best_step, directory_));
}

TrainingRun::Outcome TrainingRun::run(const std::atomic<int>& signal) {
  const TrainConfig& config = trainer_.config().train;
  started_ = last_log_ = Clock::now();
  Outcome outcome = Outcome::finished;
  while (trainer_.steps_done() < trainer_.total_steps()) {
    const EvaluationState& evaluations = trainer_.evaluations();
    if (config.patience > 0 && evaluations.without_improvement >= config.patience)
      outcome = Outcome::patience;
    if (config.max_time > 0 && seconds(Clock::now() - started_) >= config.max_time)
      outcome = Outcome::time_up;
    if (signal.load() != 0) outcome = Outcome::signalled;
    if (outcome != Outcome::finished) break;

    trainer_.step();
    const std::int64_t step = trainer_.steps_done();
    const bool last = step == trainer_.total_steps();
    const bool epoch = trainer_.at_epoch_boundary();
    const bool evaluate_now = config.eval_interval > 0 ? is_multiple(step, config.eval_interval) : epoch;
    const bool sample_now =
        config.sample_interval > 0 ? is_multiple(step, config.sample_interval) : evaluate_now;
    const bool save_now = epoch || is_multiple(step, config.save_interval);
    const bool pause = last || evaluate_now || sample_now || save_now;
    if (!all_is_well(pause || step - last_seen_step_ >= kMostStepsAhead) || !pause) continue;

    const auto paused_from = Clock::now();
    if ((evaluate_now || last) && trainer_.has_validation()) evaluate(evaluate_now);
    if (sample_now) sample();
    if (save_now || new_best_) save(epoch, true);
    paused_s_ += seconds(Clock::now() - paused_from);
  }
  if (all_is_well(true) && last_saved_step_ != trainer_.steps_done() && !save(false, false)) {
    throw DivergedError(tr(Msg::last_state_not_finite, trainer_.steps_done(), directory_));
  }
  return outcome;
}

// Reports and logs the steps that the device has done meanwhile, or all that were begun. False when they made
// the run go back: it is then at a checkpoint.
bool TrainingRun::all_is_well(bool wait) {
  for (const StepState& state : trainer_.finished_steps(wait)) {
    last_seen_step_ = state.step;
    train_loss_ = static_cast<double>(state.loss);
    const Judgement judgement = trainer_.stability().judge(state, trainer_.config().train.spike_z);
    if (judgement.trouble != Trouble::none) {
      roll_back(state, judgement);
      return false;
    }
    note_oddities(state, judgement);
    const bool log_line =
        is_multiple(state.step, trainer_.config().train.log_interval) || state.step == trainer_.total_steps();
    const StepReport now = report(state);
    observer_.on_step(now, log_line);
    if (log_line) log_metrics(now);
  }
  return true;
}

StepReport TrainingRun::report(const StepState& state) const {
  StepReport r;
  r.step = state.step;
  r.total_steps = trainer_.total_steps();
  r.epoch = trainer_.epochs_after(state.step);
  r.state = state;
  r.learning_rate = static_cast<double>(state.learning_rate);
  const double elapsed = seconds(Clock::now() - last_log_) - paused_s_;
  r.characters_per_s = static_cast<double>((state.step - last_logged_step_) * trainer_.tokens_per_step()) /
                       std::max(elapsed, 1e-9);
  const double a_step = seconds(Clock::now() - started_) / static_cast<double>(state.step - first_step_);
  r.seconds_left = a_step * static_cast<double>(r.total_steps - r.step);
  const double max_time = trainer_.config().train.max_time;
  if (max_time > 0) r.seconds_left = std::min(r.seconds_left, max_time - seconds(Clock::now() - started_));
  return r;
}

void TrainingRun::log_metrics(const StepReport& r) {
  append("metrics.jsonl", "{\"step\":" + to_text(r.step) + ",\"epoch\":" + to_text(r.epoch) +
                              ",\"loss\":" + json_number(static_cast<double>(r.state.loss)) +
                              ",\"lr\":" + to_text(r.learning_rate) +
                              ",\"grad_norm\":" + json_number(static_cast<double>(r.state.grad_norm)) +
                              ",\"chars_per_s\":" + to_text(std::round(r.characters_per_s)) + "}\n");
  last_log_ = Clock::now();
  last_logged_step_ = r.step;
  paused_s_ = 0;
}

void TrainingRun::evaluate(bool counts_for_patience) {
  EvaluationState& e = trainer_.evaluations();
  EvaluationReport r{.step = trainer_.steps_done(), .epoch = trainer_.epochs_after(trainer_.steps_done())};
  r.train_loss = train_loss_;
  r.val_loss = trainer_.evaluate(kEvaluationBatches);
  r.is_best = r.val_loss < e.best_val_loss;
  e.last_step = r.step;
  e.last_val_loss = r.val_loss;
  if (r.is_best) {
    e.best_val_loss = r.val_loss;
    e.best_step = r.step;
    e.without_improvement = 0;
    new_best_ = true;
  } else if (counts_for_patience) {
    ++e.without_improvement;
  }
  const std::string line = "{\"step\":" + to_text(r.step) + ",\"epoch\":" + to_text(r.epoch) +
                           ",\"train_loss\":" + json_number(r.train_loss) +
                           ",\"val_loss\":" + json_number(r.val_loss) + "}\n";
  trainer_.history() += line;
  append("metrics.jsonl", line);
  observer_.on_evaluation(r);
}

void TrainingRun::sample() {
  Generator generator(trainer_.model());
  generator.start({}, 0);
  const SamplingOptions options{.seed = static_cast<std::uint64_t>(trainer_.config().train.seed)};
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < kSampleCharacters; ++i) {
    const std::int32_t id = generator.next(options);
    if (id == kEndOfTextId) break;
    ids.push_back(id);
  }
  const std::string text = trainer_.vocab().decode(ids);
  append("samples.txt", sample_heading(trainer_.steps_done()) + text + "\n\n");
  observer_.on_sample(text);
}

// is_planned: the configuration says so, not the clock or the user: any run of it saves here. False when the
// state is not finite, which is noted and not saved; the losses to come will tell.
bool TrainingRun::save(bool is_epoch, bool is_planned) {
  const std::int64_t step = trainer_.steps_done();
  const std::string name = is_epoch ? epoch_file_name(trainer_.epoch_after(step)) : step_file_name(step);
  const std::string path = directory_ + "/" + name;
  Snapshot snapshot = trainer_.snapshot();
  snapshot.progress.set("planned_save", is_planned ? "true" : "false");
  try {
    save_checkpoint(path, snapshot, true);
  } catch (const NotFiniteError& error) {
    observer_.on_note(error.what());
    return false;
  }
  last_checkpoint_ = path;
  write_pointer(directory_, "latest", name);
  if (new_best_) write_pointer(directory_, "best", name);
  new_best_ = false;
  last_saved_step_ = step;
  observer_.on_saved(last_checkpoint_);
  remove_old_checkpoints(directory_, trainer_.run_id(), trainer_.config().train.keep_last);
  return true;
}

void TrainingRun::append(const char* file, const std::string& text) {
  std::ofstream out(directory_ + "/" + file, std::ios::app | std::ios::binary);
  out << text << std::flush;
  // A log that cannot be written is no reason to lose the training.
  if (!out) observer_.on_note(tr(Msg::log_not_written, directory_ + "/" + file));
}

}  // namespace zhgpt
