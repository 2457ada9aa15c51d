// TrainingRun: what it says of steps that are out of line, and how it goes back from trouble.

#include <algorithm>
#include <cstdio>

#include "train/ranking.h"
#include "train/run_directory.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"
#include "zhgpt/training_run.h"

namespace zhgpt {
namespace {

std::string brief(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

// What the trouble is, in half a sentence.
std::string describe_trouble(const StepState& state, const Judgement& j, double spike_z) {
  if (j.trouble == Trouble::skips_in_a_row) return tr(Msg::trouble_in_a_row, j.skips, state.step);
  if (j.trouble == Trouble::many_skips) return tr(Msg::trouble_many_skips, j.skips, state.step);
  return tr(Msg::trouble_spike, spike_z, state.step, brief(static_cast<double>(state.loss)), brief(j.loss_z),
            brief(static_cast<double>(state.grad_norm)), brief(j.norm_z));
}

}  // namespace

void TrainingRun::note_oddities(const StepState& state, const Judgement& j) {
  if (state.skipped_in_a_row > 0) observer_.on_note(tr(Msg::step_skipped, state.step));
  if (std::max(j.loss_z, j.norm_z) > Stability::kWorthANote) {
    observer_.on_note(tr(Msg::spike_seen, state.step, brief(static_cast<double>(state.loss)), brief(j.loss_z),
                         brief(static_cast<double>(state.grad_norm)), brief(j.norm_z)));
  }
}

// Where it goes back to and what it passes over follow from the steps' states and from what the run saved by
// its plan; how far the device had got meanwhile plays no part. So a run that was stopped and resumed does
// the same.
void TrainingRun::roll_back(const StepState& state, const Judgement& judgement) {
  const TrainConfig& config = trainer_.config().train;
  const std::string trouble = describe_trouble(state, judgement, config.spike_z);
  const std::int64_t rollbacks = trainer_.stability().rollbacks();
  if (rollbacks >= config.max_rollbacks) {
    throw DivergedError(tr(Msg::diverged, trouble, rollbacks, config.max_rollbacks, directory_));
  }
  look_at_save(true);  // what it writes may be what the run goes back to
  std::vector<std::string> notes;
  const auto from = checkpoint_before_trouble(directory_, trainer_.run_id(), judgement.whole_step, &notes);
  for (const std::string& note : notes) observer_.on_note(note);
  if (!from) throw DivergedError(tr(Msg::diverged_from_the_start, trouble, directory_));

  trainer_.roll_back(*from, state.step);
  last_checkpoint_ = from->path();
  last_saved_step_ = from->step();
  first_step_ = std::min(first_step_, from->step());
  new_best_ = false;
  ranking_ = std::make_unique<Ranking>(config.best_by, trainer_.history());
  observer_.on_note(tr(Msg::rolled_back, trouble, from->path(), from->step(), state.step - from->step(),
                       rollbacks + 1, config.max_rollbacks));
  be_at(from->step());
}

}  // namespace zhgpt
