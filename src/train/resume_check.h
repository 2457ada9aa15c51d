// Proves on the spot that a run that was saved and gone on with is, bit for bit, one that never stopped.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "zhgpt/trainer.h"

namespace zhgpt {

// Two trainings of the same configuration, a state for each step: one straight on, one that was saved, ended
// and loaded again on the way.
struct ResumeCheck {
  std::vector<StepState> straight, resumed;
  std::uint64_t straight_hash = 0, resumed_hash = 0;  // of parameters and moments at the end

  // Whether loss and gradient norm of a step, counted from 1, have the same bits in both.
  bool same_at(std::int64_t step) const;
  std::int64_t first_difference() const;  // the first step where they have not; 0: none
  bool agrees() const { return first_difference() == 0 && straight_hash == resumed_hash; }
};

// Trains `steps` steps; then, with another backend, `at` steps, saves in `directory`, and from the file, with
// a third one, the rest. config.model.vocab_size is the data set's; the plan of the run (limits, learning
// rates) is that of `steps` steps. `on_step(steps done, of so many)` is called after each. REQUIRES: 1 <= at
// < steps. Throws what Trainer and save_checkpoint throw.
ResumeCheck check_resume(const std::function<std::unique_ptr<Backend>()>& make, Config config,
                         Dataset& dataset, std::int64_t at, std::int64_t steps, const std::string& directory,
                         const std::function<void(std::int64_t, std::int64_t)>& on_step = {});

}  // namespace zhgpt
