#include "interop/model_source.h"

#include "interop/tensor_views.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt::interop {
namespace {

Config config_of_model(const Snapshot& snapshot) {
  try {
    Config config = Config::from_key_values(snapshot.config);
    config.model.validate();
    return config;
  } catch (const ConfigError& error) {
    throw CheckpointError(tr(Msg::interop_not_a_model, error.what()));
  }
}

}  // namespace

ModelSource::ModelSource(const Snapshot& snapshot)
    : snapshot_(snapshot),
      config_(config_of_model(snapshot)),
      vocab_(Vocabulary::from_code_points(snapshot.vocab)),
      table_(config_.model) {
  for (const TensorSource& tensor : snapshot.tensors) {
    if (tensor.info.kind == SectionKind::parameter) parameters_.emplace(tensor.info.name, &tensor);
  }
  if (vocab_.size() != config_.model.vocab_size) {
    throw CheckpointError(tr(
        Msg::interop_not_a_model,
        "vocab_size " + std::to_string(config_.model.vocab_size) + " != " + std::to_string(vocab_.size())));
  }
  for (const ParameterSpec& spec : table_.specs()) {
    const auto found = parameters_.find(spec.name);
    if (found == parameters_.end() || found->second->info.shape != spec.shape) {
      throw CheckpointError(tr(Msg::interop_not_a_model, spec.name));
    }
  }
}

TensorSource ModelSource::parameter(const std::string& name) const {
  return as_f32(*parameters_.at(name));
}

}  // namespace zhgpt::interop
