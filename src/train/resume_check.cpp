#include "train/resume_check.h"

#include <bit>

#include "zhgpt/plan.h"

namespace zhgpt {
namespace {

bool same_bits(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

}  // namespace

bool ResumeCheck::same_at(std::int64_t step) const {
  const auto i = static_cast<std::size_t>(step - 1);
  return same_bits(straight[i].loss, resumed[i].loss) &&
         same_bits(straight[i].grad_norm, resumed[i].grad_norm);
}

std::int64_t ResumeCheck::first_difference() const {
  for (std::int64_t step = 1; step <= std::ssize(straight); ++step) {
    if (!same_at(step)) return step;
  }
  return 0;
}

ResumeCheck check_resume(const std::function<std::unique_ptr<Backend>()>& make, Config config,
                         Dataset& dataset, std::int64_t at, std::int64_t steps, const std::string& directory,
                         const std::function<void(std::int64_t, std::int64_t)>& on_step) {
  config.train.epochs = 0;
  config.train.max_iters = steps;
  std::int64_t done = 0;
  const auto train = [&](Trainer& trainer, std::int64_t until, std::vector<StepState>& states) {
    while (trainer.steps_done() < until) {
      trainer.step();
      for (const StepState& state : trainer.finished_steps(true)) states.push_back(state);
      if (on_step) on_step(++done, 2 * steps);
    }
  };

  ResumeCheck check;
  {
    const auto backend = make();
    const auto trainer = make_trainer(*backend, config, dataset);
    train(*trainer, steps, check.straight);
    check.straight_hash = state_hash(trainer->snapshot());
  }
  const std::string path = directory + "/state.bin";
  {
    const auto backend = make();
    const auto trainer = make_trainer(*backend, config, dataset);
    train(*trainer, at, check.resumed);
    save_checkpoint(path, trainer->snapshot());
  }
  const auto backend = make();
  const Checkpoint saved = Checkpoint::open(path);
  const auto trainer = make_trainer(*backend, config_of(saved), dataset, &saved);
  train(*trainer, steps, check.resumed);
  check.resumed_hash = state_hash(trainer->snapshot());
  return check;
}

}  // namespace zhgpt
