#include "zhgpt/training_run.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "train/async_saver.h"
#include "train/ranking.h"
#include "train/run_directory.h"
#include "zhgpt/error.h"
#include "zhgpt/sampler.h"

namespace zhgpt {
namespace {

constexpr std::int64_t kEvaluationBatches = 200;
constexpr std::int64_t kSampleCharacters = 80;
constexpr std::int64_t kFailedSavesEndTheRun = 3;
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
    : trainer_(trainer),
      directory_(std::move(directory)),
      observer_(observer),
      policy_(parse_save_policy(trainer.config().train.save_policy)),
      ranking_(std::make_unique<Ranking>(trainer.config().train.best_by, trainer.history())),
      saver_(std::make_unique<AsyncSaver>(trainer, directory_)) {
  if (policy_.best && !policy_.last && policy_.every == 0 && !trainer.has_validation())
    throw ConfigError(tr(Msg::best_needs_validation, trainer.config().train.save_policy));
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
  if (!policy_.best) return write_pointer(directory_, "best", "");
  std::string best = checkpoint_at(directory_, run, e.best_step);
  if (!best.empty() && !holds_best(directory_ + "/" + best, e)) best.clear();
  write_pointer(directory_, "best", best);
  if (best.empty() && e.best_step >= 0) observer_.on_note(tr(Msg::best_is_gone, e.best_step, directory_));
}

TrainingRun::Outcome TrainingRun::run(const std::atomic<int>& signal) {
  try {
    return train(signal);
  } catch (...) {
    try {
      look_at_save(true);
    } catch (const std::exception&) {  // the first failure is the one to tell
    }
    throw;
  }
}

TrainingRun::Outcome TrainingRun::train(const std::atomic<int>& signal) {
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

    begin_step();
    trainer_.step();
    const std::int64_t step = trainer_.steps_done();
    const bool last = step == trainer_.total_steps();
    const bool epoch = trainer_.at_epoch_boundary();
    const bool evaluate_now = config.eval_interval > 0 ? is_multiple(step, config.eval_interval) : epoch;
    const bool sample_now =
        config.sample_interval > 0 ? is_multiple(step, config.sample_interval) : evaluate_now;
    const bool save_now =
        (policy_.last && epoch) || is_multiple(step, config.save_interval) || is_milestone(step);
    const bool pause = last || evaluate_now || sample_now || save_now;
    if (!all_is_well(pause || step - last_seen_step_ >= kMostStepsAhead)) continue;
    look_at_save(false);
    if (!pause) continue;

    const auto paused_from = Clock::now();
    if ((evaluate_now || last) && trainer_.has_validation()) evaluate(evaluate_now);
    if (sample_now) sample();
    if (save_now || new_best_) save(true);
    paused_s_ += seconds(Clock::now() - paused_from);
  }
  if (all_is_well(true)) finish_saving();
  finish_profile();
  return outcome;
}

void TrainingRun::begin_step() {
  if (!profile_) return;
  const std::int64_t begun = steps_begun_++;
  if (begun == Profile::kWarmUpSteps) {
    trainer_.backend().observe(profile_);
    profile_->start();
  }
  if (begun == Profile::kWarmUpSteps + profile_->steps()) finish_profile();
}

// A save that began in its steps is a part of it.
void TrainingRun::finish_profile() {
  if (!profile_) return;
  look_at_save(true);
  Profile& profile = *std::exchange(profile_, nullptr);
  trainer_.backend().observe(nullptr);
  if (steps_begun_ <= Profile::kWarmUpSteps) {
    return observer_.on_note(tr(Msg::profile_no_steps, profile.path(), Profile::kWarmUpSteps));
  }
  try {
    profile.finish();
    observer_.on_profile(profile);
  } catch (const IoError& error) {  // no reason to lose the training
    observer_.on_note(error.what());
  } catch (const std::bad_alloc&) {
    observer_.on_note(tr(Msg::program_out_of_memory));
  }
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
  look_at_save(true);  // before anything is compared with a best that is being saved
  const Span span(trainer_.backend().observer(), Observer::Place::training, "evaluation");
  EvaluationState& e = trainer_.evaluations();
  EvaluationReport r{.step = trainer_.steps_done(), .epoch = trainer_.epochs_after(trainer_.steps_done())};
  r.train_loss = train_loss_;
  const EvaluationResult result = trainer_.evaluate(kEvaluationBatches);
  r.val_loss = e.last_val_loss = result.loss;
  r.val_accuracy = e.last_val_accuracy = result.accuracy;
  r.is_best = ranking_->is_best(result, e);
  e.last_step = r.step;
  if (ranking_->is_better(result, e)) {
    e.without_improvement = 0;
  } else if (counts_for_patience) {
    ++e.without_improvement;
  }
  if (r.is_best) {
    if (policy_.best) {
      durable_best_ = e;
      new_best_ = true;
    }
    e.best_val_loss = result.loss;
    e.best_val_accuracy = result.accuracy;
    e.best_step = r.step;
  }
  ranking_->add(r.step, result);
  const std::string line = history_line(r);
  trainer_.history() += line;
  append("metrics.jsonl", line);
  observer_.on_evaluation(r);
}

void TrainingRun::sample() {
  const Span span(trainer_.backend().observer(), Observer::Place::training, "sample");
  UncachedGenerator generator(trainer_.model());
  generator.start({}, 0);
  const SamplingOptions options{.seed = static_cast<std::uint64_t>(trainer_.config().train.seed)};
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < kSampleCharacters; ++i) {
    const std::int32_t id = generator.next(options);
    if (id == kEndOfTextId || id == kNoToken) break;
    ids.push_back(id);
  }
  const std::string text = trainer_.vocab().decode(ids);
  append("samples.txt", sample_heading(trainer_.steps_done()) + text + "\n\n");
  observer_.on_sample(text);
}

bool TrainingRun::is_milestone(std::int64_t step) const {
  return (policy_.every > 0 && trainer_.completes_epochs(step, policy_.every)) ||
         is_multiple(step, trainer_.config().train.major_every);
}

// is_planned: the configuration says so, not the clock or the user: any run of it saves here.
void TrainingRun::save(bool is_planned) {
  look_at_save(true);
  const Span span(trainer_.backend().observer(), Observer::Place::training, "save");
  const TrainConfig& config = trainer_.config().train;
  const std::int64_t step = trainer_.steps_done();
  const bool is_epoch =
      trainer_.at_epoch_boundary() || (policy_.every > 0 && trainer_.completes_epochs(step, policy_.every));
  saver_->begin({.name = is_epoch ? epoch_file_name(trainer_.epoch_after(step)) : step_file_name(step),
                 .is_best = new_best_,
                 .is_planned = is_planned,
                 .keep = {.newest = config.keep_last,
                          .ranking = ranking_->best_first(),
                          .best = policy_.best ? config.keep_best : 0,
                          .always = [this](std::int64_t saved) { return is_milestone(saved); }}});
  new_best_ = false;
}

// Tells what became of the save under way, as soon as it is known.
bool TrainingRun::look_at_save(bool wait) {
  const auto outcome = [&] {
    const Span span(wait ? trainer_.backend().observer() : nullptr, Observer::Place::training, "save");
    return saver_->finished(wait);
  }();
  if (!outcome) return true;
  const auto best_before = std::exchange(durable_best_, std::nullopt);
  if (!outcome->note.empty()) observer_.on_note(outcome->note);
  if (outcome->error.empty()) {
    last_checkpoint_ = outcome->path;
    last_saved_step_ = outcome->step;
    failed_in_a_row_ = 0;
    observer_.on_saved(last_checkpoint_);
    return true;
  }
  if (best_before) {
    EvaluationState& e = trainer_.evaluations();
    e.best_val_loss = best_before->best_val_loss;
    e.best_val_accuracy = best_before->best_val_accuracy;
    e.best_step = best_before->best_step;
  }
  save_error_ = outcome->error;
  if (!outcome->is_finite) {  // the losses to come will tell
    observer_.on_note(save_error_);
    return false;
  }
  if (++failed_in_a_row_ == kFailedSavesEndTheRun) {
    throw IoError(tr(Msg::saves_failed, failed_in_a_row_, trainer_.steps_done(), save_error_, directory_));
  }
  observer_.on_note(tr(Msg::save_failed, save_error_, failed_in_a_row_, kFailedSavesEndTheRun));
  return true;
}

// The last state becomes durable, unless it is.
void TrainingRun::finish_saving() {
  look_at_save(true);
  if (last_saved_step_ == trainer_.steps_done()) return;
  save(false);
  const bool was_finite = look_at_save(true);
  if (!was_finite) throw DivergedError(tr(Msg::last_state_not_finite, trainer_.steps_done(), directory_));
  if (last_saved_step_ != trainer_.steps_done())
    throw IoError(tr(Msg::last_save_failed, trainer_.steps_done(), save_error_, directory_));
}

void TrainingRun::append(const char* file, const std::string& text) {
  std::ofstream out(directory_ + "/" + file, std::ios::app | std::ios::binary);
  out << text << std::flush;
  // A log that cannot be written is no reason to lose the training.
  if (!out) observer_.on_note(tr(Msg::log_not_written, directory_ + "/" + file));
}

}  // namespace zhgpt
