// config.json of a Hugging Face GPT-2, read and written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "zhgpt/config.h"

namespace zhgpt::interop {

struct Gpt2Config {
  ModelConfig model;                   // vocab_size: rows of the foreign embedding
  std::optional<std::int64_t> end_id;  // eos_token_id
  bool from_pytorch = false;           // tools/pt2safetensors.py made the directory
  std::int64_t epoch = 0;              // that it says
};

// Throws CheckpointError naming every setting by which the model would compute something else than GPT-2 as
// it is here: pre-LN, biases, tanh GELU, layernorm epsilon 1e-5, scores over sqrt(head size), tied head.
// Settings that are absent have Hugging Face's defaults (transformers, GPT2Config).
Gpt2Config read_gpt2_config(const std::string& path);

std::string gpt2_config_json(const ModelConfig& model);

}  // namespace zhgpt::interop
