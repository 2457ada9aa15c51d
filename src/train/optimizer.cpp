#include "zhgpt/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace zhgpt {

double learning_rate_at(const TrainConfig& config, std::int64_t step, std::int64_t total_steps) {
  const double high = config.learning_rate;
  const double low = config.min_lr < 0 ? high / 10 : config.min_lr;
  const std::int64_t warmup = std::min(config.warmup_iters, total_steps / 10);
  if (step < warmup) return high * static_cast<double>(step + 1) / static_cast<double>(warmup);
  // How much of the way down is done: 0 at the end of warm-up, 1 at the last step.
  const auto progress = [&](std::int64_t from) {
    const auto length = static_cast<double>(std::max<std::int64_t>(1, total_steps - 1 - from));
    return std::clamp(static_cast<double>(step - from) / length, 0.0, 1.0);
  };
  if (config.lr_schedule == "constant") return high;
  if (config.lr_schedule == "linear") return high + (low - high) * progress(warmup);
  if (config.lr_schedule == "wsd") return high + (low - high) * progress(total_steps - total_steps / 5);
  return low + (high - low) * 0.5 * (1 + std::cos(std::numbers::pi * progress(warmup)));
}

Optimizer::Optimizer(Gpt& model)
    : model_(model),
      m_buffer_(model.backend().allocate(model.params().bytes(), "Adam's first moments")),
      v_buffer_(model.backend().allocate(model.params().bytes(), "Adam's second moments")) {}

void Optimizer::step(const TrainConfig& config, StepState* state, StepState* history,
                     std::int64_t history_size) {
  Backend& backend = model_.backend();
  backend.run(GlobalNorm{.state = state, .grads = model_.grads(), .max_norm = config.grad_clip});
  backend.run(AdamW{.params = model_.params(),
                    .m = m(),
                    .v = v(),
                    .working = model_.working(),
                    .grads = model_.grads(),
                    .n_decay = model_.table().n_decay(),
                    .beta1 = config.beta1,
                    .beta2 = config.beta2,
                    .eps = config.eps,
                    .weight_decay = config.weight_decay,
                    .state = state});
  backend.run(AdvanceStep{.state = state, .history = history, .history_size = history_size});
}

}  // namespace zhgpt
