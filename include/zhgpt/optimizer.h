// The optimizer: learning-rate schedules, Adam's moments, and the update at the end of a step.
#pragma once

#include <cstdint>

#include "zhgpt/backend.h"
#include "zhgpt/config.h"
#include "zhgpt/gpt.h"

namespace zhgpt {

// The learning rate of step `step` (from 0) in a run of `total_steps`: linear warm-up, then by lr_schedule
//   cosine    half a cosine down to min_lr;       linear  a straight line down to min_lr
//   constant  flat;                               wsd     flat, then a straight line to min_lr over the last
//   fifth.
// Warm-up takes warmup_iters steps, but at most a tenth of the run. Beyond the end it stays at the last
// value.
double learning_rate_at(const TrainConfig& config, std::int64_t step, std::int64_t total_steps);

// AdamW over a model's flat arrays; the moments are in the same order and dtype as the parameters.
class Optimizer {
 public:
  explicit Optimizer(Gpt& model);

  Tensor m() const { return flat(m_buffer_); }
  Tensor v() const { return flat(v_buffer_); }

  // Clips by the global norm, updates the parameters unless loss or gradient is not finite, and counts the
  // step. Reads and writes *state, which lives in device memory, as does `history`, a ring of the last steps'
  // states, or none.
  void step(const TrainConfig& config, StepState* state, StepState* history = nullptr,
            std::int64_t history_size = 0);

 private:
  Tensor flat(const Buffer& buffer) const {
    return Tensor(buffer.data(), model_.params().dtype, {model_.table().flat_size()});
  }
  Gpt& model_;
  Buffer m_buffer_, v_buffer_;
};

}  // namespace zhgpt
