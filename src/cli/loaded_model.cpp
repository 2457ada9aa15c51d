#include "cli/loaded_model.h"

#include <filesystem>
#include <iostream>

#include "base/fingerprint.h"
#include "zhgpt/error.h"
#include "zhgpt/inference.h"
#include "zhgpt/trainer.h"
#include "zhgpt/training_run.h"

namespace zhgpt::cli {
namespace {

Checkpoint open(const std::string& path, const std::string& which) {
  if (!std::filesystem::exists(path)) throw IoError(tr(Msg::no_such_path, path));
  std::vector<std::string> notes;
  Checkpoint checkpoint = open_run_checkpoint(path, which, &notes);
  for (const std::string& note : notes) std::cerr << note << "\n";
  return checkpoint;
}

}  // namespace

LoadedModel::LoadedModel(Checkpoint from, const std::string& device, std::int64_t threads,
                         std::int64_t max_batch)
    : checkpoint(std::move(from)),
      config(config_of(checkpoint)),
      vocab(Vocabulary::from_code_points(checkpoint.vocab())),
      backend(make_backend(device, static_cast<int>(threads))),
      model(make_inference_model(*backend, checkpoint, max_batch)) {}

LoadedModel::LoadedModel(const std::string& directory_or_file, const std::string& which,
                         const std::string& device, std::int64_t threads, std::int64_t max_batch)
    : LoadedModel(open(directory_or_file, which), device, threads, max_batch) {}

std::optional<Dataset> dataset_beside(const Checkpoint& checkpoint) {
  const KeyValues& progress = checkpoint.progress();
  if (!progress.has("corpus_fingerprint")) return std::nullopt;
  try {
    const std::string directory = std::filesystem::absolute(checkpoint.path()).parent_path();
    Dataset dataset = load_dataset(directory, parse_fingerprint(progress.get_quoted("corpus_fingerprint")));
    if (dataset.vocab.code_points() != checkpoint.vocab()) return std::nullopt;
    return dataset;
  } catch (const DataError&) {
    return std::nullopt;
  }
}

}  // namespace zhgpt::cli
