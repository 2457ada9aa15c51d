// A trained model taken from a run directory or a checkpoint, ready to be asked.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "zhgpt/checkpoint.h"
#include "zhgpt/config.h"
#include "zhgpt/dataset.h"
#include "zhgpt/gpt.h"
#include "zhgpt/tokenizer.h"

namespace zhgpt::cli {

struct LoadedModel {
  LoadedModel(Checkpoint from, const std::string& device, std::int64_t threads, std::int64_t max_batch);
  // Throws IoError when there is no such path, CheckpointError when nothing whole is there.
  LoadedModel(const std::string& directory_or_file, const std::string& which, const std::string& device,
              std::int64_t threads, std::int64_t max_batch);

  Checkpoint checkpoint;
  Config config;
  Vocabulary vocab;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Gpt> model;
  WeightType weights = WeightType::f32;  // as what a Generator is to hold them
};

// The text of the run that a checkpoint comes from, by corpus.tokens beside it; nothing where that is not
// there or is of another text.
std::optional<Dataset> dataset_beside(const Checkpoint& checkpoint);

}  // namespace zhgpt::cli
