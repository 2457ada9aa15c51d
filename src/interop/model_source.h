// ModelSource: the model in a snapshot, as the exporters read it.
#pragma once

#include <map>
#include <string>

#include "zhgpt/checkpoint.h"
#include "zhgpt/config.h"
#include "zhgpt/params.h"
#include "zhgpt/tokenizer.h"

namespace zhgpt::interop {

class ModelSource {
 public:
  // Throws CheckpointError when the configuration, the vocabulary or a parameter is not that of a whole
  // model. `snapshot` must outlive the object.
  explicit ModelSource(const Snapshot& snapshot);

  const Config& config() const { return config_; }
  const ModelConfig& model() const { return config_.model; }
  const Vocabulary& vocab() const { return vocab_; }
  const ParameterTable& table() const { return table_; }
  std::int64_t step() const { return snapshot_.step; }

  // As f32, (OC, C). REQUIRES: `name` is in the table.
  TensorSource parameter(const std::string& name) const;

 private:
  const Snapshot& snapshot_;
  Config config_;
  Vocabulary vocab_;
  ParameterTable table_;
  std::map<std::string, const TensorSource*> parameters_;
};

}  // namespace zhgpt::interop
