// From one checkpoint to another: fewer tensors, other names, other precision. What comes out is whole: it
// loads.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "zhgpt/checkpoint.h"

namespace zhgpt {

struct ConvertOptions {
  // f32, f16 or bf16: in which matrices of parameters are kept. Vectors (biases and layernorm) stay f32, and
  // so do moments: a training state is not rounded, so this needs inference_only or a state without moments.
  std::optional<DType> dtype = {};
  bool inference_only = false;  // parameters, configuration and vocabulary: no moments, no history
  // Regular expressions (ECMAScript) that are searched in tensors' names. With `include`, those that match
  // one of them are taken; of these, those that match one of `exclude` are left out.
  std::vector<std::string> include = {}, exclude = {};
  std::vector<std::pair<std::string, std::string>> rename = {};  // expression and replacement, one after the other
  // Without it, tensors must be exactly the model's that the configuration names, once any of the three above
  // is given. With it, parameters that are missing get their initial values and moments zeros, what the model
  // has not is left out, and what has another shape counts as missing.
  bool partial = false;
};

// How tensors and a model's parameters fit, by name.
struct TensorFit {
  std::vector<std::string> applied, missing, unused, mismatched;  // mismatched: with both shapes

  bool is_exact() const { return missing.empty() && unused.empty() && mismatched.empty(); }
  std::string to_string() const;  // a line a list that is not empty
};

struct Converted {
  Snapshot snapshot;  // reads from the checkpoint when it is saved
  TensorFit fit;      // of parameters; empty when no tensor was chosen or renamed
};

// Throws ConfigError for options that make no sense, CheckpointError when the tensors do not fit and
// `partial` is not given: all of them are listed.
Converted convert(const Checkpoint& checkpoint, const ConvertOptions& options);

}  // namespace zhgpt
