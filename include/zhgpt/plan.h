// What a training run takes, known before anything runs: the Trainer itself, made on a dry backend.
//
// It is the memory of the device, byte by byte as it will be asked for, the copy of the state that a save is
// written from (12 bytes a parameter) included. On top come, on the host, the text (2 or 4 bytes a character)
// and, on a GPU, what a save is read through and what the driver keeps for itself: some hundred MB.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "zhgpt/trainer.h"

namespace zhgpt {

struct RunPlan {
  DType dtype;                    // of activations and products
  std::vector<MemoryUse> memory;  // of the device, all that the run takes there
  std::int64_t memory_bytes = 0;  // their sum
  std::int64_t host_bytes = 0;    // of the host besides, page-locked, to save through; 0 for the CPU
  std::int64_t tokens_per_step = 0;
  std::vector<OperationCost> launches;  // of one step, in order; empty for the CPU
};

// For the device, dtype and threads that `config` names, so much memory, and a training text of so many
// tokens, which stays on the host when it would take too much of that. Throws ConfigError, and DeviceError
// when this build has no code for the device or the run is larger than addresses go.
constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max();
RunPlan plan_run(const Config& config, std::int64_t train_tokens, std::int64_t memory_bytes = kUnlimited);

// A batch_size with which the run fits into so many bytes while one more does not; 0 when not even 1 fits.
std::int64_t largest_batch(const Config& config, std::int64_t train_tokens, std::int64_t memory_bytes);

// What a run on this backend could take: what is free, and what the backend itself holds already.
std::int64_t memory_for_a_run(const Backend& backend);

// The run's Trainer, fresh or from a checkpoint. Where memory does not suffice, throws a DeviceError that
// says what the run takes, what is free and with which batch_size it would fit.
std::unique_ptr<Trainer> make_trainer(Backend& backend, const Config& config, Dataset& dataset,
                                      const Checkpoint* from = nullptr);

}  // namespace zhgpt
