#include "zhgpt/plan.h"

#include <utility>

#include "zhgpt/error.h"

namespace zhgpt {

RunPlan plan_run(const Config& config, std::int64_t train_tokens, std::int64_t memory_bytes) {
  const auto backend = make_dry_backend(config.train, memory_bytes);
  Dataset dataset;  // its length is what counts
  dataset.train.dtype = token_dtype(config.model.vocab_size);
  dataset.train.count = train_tokens;
  Trainer trainer(*backend, config, dataset);
  RunPlan plan;
  backend->take_launches();  // of making the trainer
  trainer.step();
  plan.launches = backend->take_launches();
  plan.dtype = trainer.model().dtype();
  if (!plan.launches.empty()) plan.host_bytes = trainer.host_bytes_to_save();
  plan.tokens_per_step = trainer.tokens_per_step();
  plan.memory = backend->memory();
  for (const MemoryUse& use : plan.memory) plan.memory_bytes += use.bytes;
  return plan;
}

std::int64_t largest_batch(const Config& config, std::int64_t train_tokens, std::int64_t memory_bytes) {
  constexpr std::int64_t kMost = 1 << 20;  // the range of batch_size
  const auto fits = [&](std::int64_t batch) {
    Config with_batch = config;
    with_batch.train.batch_size = batch;
    try {
      return plan_run(with_batch, train_tokens, memory_bytes).memory_bytes <= memory_bytes;
    } catch (const OutOfMemory&) {  // more than addresses go
      return false;
    }
  };
  std::int64_t fitting = 0, too_large = 1;
  while (too_large <= kMost && fits(too_large)) fitting = std::exchange(too_large, 2 * too_large);
  while (too_large - fitting > 1 && too_large <= kMost) {
    const std::int64_t middle = fitting + (too_large - fitting) / 2;
    (fits(middle) ? fitting : too_large) = middle;
  }
  return fitting;
}

std::int64_t memory_for_a_run(const Backend& backend) {
  std::int64_t bytes = backend.free_memory_bytes();
  for (const MemoryUse& use : backend.memory()) bytes += use.bytes;
  return bytes;
}

namespace {

std::string advice(const Config& config, std::int64_t tokens, std::int64_t whole, std::int64_t free_bytes) {
  // Enough and yet refused: it lay in pieces, or was lost in rounding to pages.
  const std::int64_t memory_bytes = free_bytes < whole ? free_bytes : whole - whole / 32;
  const std::int64_t batch = largest_batch(config, tokens, memory_bytes);
  return batch > 0 ? tr(Msg::batch_that_fits, batch) : tr(Msg::no_batch_fits);
}

}  // namespace

std::unique_ptr<Trainer> make_trainer(Backend& backend, const Config& config, Dataset& dataset,
                                      const Checkpoint* from) {
  try {
    return from ? std::make_unique<Trainer>(backend, config, dataset, *from)
                : std::make_unique<Trainer>(backend, config, dataset);
  } catch (const OutOfMemory& error) {
    const std::int64_t free_bytes = memory_for_a_run(backend), tokens = dataset.train.count,
                       whole = plan_run(config, tokens, free_bytes).memory_bytes;
    throw DeviceError(tr(Msg::run_does_not_fit, backend.name(), spoken_name(error.wanted().what),
                         error.wanted().bytes, whole, free_bytes,
                         from ? tr(Msg::batch_is_the_runs) : advice(config, tokens, whole, free_bytes)));
  }
}

}  // namespace zhgpt
