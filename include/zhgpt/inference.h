// From checkpoints to models that are only asked: a whole one, or the parts of a split one run in turn.
//
// Nothing is initialised at random first. Weights of a checkpoint in memory (load_model_bytes) are used where
// they lie, if they are f32, aligned, and the device reads the host's memory; others are copied to the
// device, one tensor at a time.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "zhgpt/checkpoint.h"
#include "zhgpt/gpt.h"
#include "zhgpt/split.h"

namespace zhgpt {

// The model of a checkpoint, whole or one part. Memory that `checkpoint` was read from must outlive it.
// Throws CheckpointError when the tensors are not exactly the model's, DeviceError when memory does not
// suffice.
std::unique_ptr<Gpt> make_inference_model(Backend& backend, const Checkpoint& checkpoint,
                                          std::int64_t max_batch);
std::unique_ptr<Gpt> make_part_model(Backend& backend, const Checkpoint& part, std::int64_t max_batch);

// A split model, each part on a device of its own. Where all are of one kind, logits have the bits of the
// whole model there: the same operations on the same numbers, handed on as they are.
class SplitModel {
 public:
  // devices: names for make_backend, in the order bottom, trunk, top.
  SplitModel(const SplitParts& parts, const std::array<std::string, 3>& devices, int threads);

  std::int64_t block_size() const { return models_[0]->config().block_size; }
  const Backend& backend(Part part) const { return *backends_[static_cast<std::size_t>(part)]; }
  // Logits (V) of what follows `tokens`, of which there are 1 to block_size. Valid until the next call.
  std::span<const float> last_logits(std::span<const std::int32_t> tokens);

 private:
  std::array<std::unique_ptr<Backend>, 3> backends_;
  std::array<std::unique_ptr<Gpt>, 3> models_;
  std::vector<std::byte> stream_;  // (T, C) between two devices
  std::vector<float> logits_;
};

}  // namespace zhgpt
