// The small files of a Hugging Face model directory, as text: every one is a function of the model alone.
#pragma once

#include <string>

#include "interop/model_source.h"

namespace zhgpt::interop {

std::string tokenizer_json(const Vocabulary& vocab);
std::string tokenizer_config_json(const ModelConfig& model);
std::string special_tokens_map_json();
std::string generation_config_json();
std::string model_card(const ModelSource& source);

}  // namespace zhgpt::interop
