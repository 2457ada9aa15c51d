// ForeignModel: what every reader of another program's model makes of it.
#pragma once

#include <map>
#include <string>

#include "interop/gpt2_config.h"
#include "zhgpt/checkpoint.h"

namespace zhgpt::interop {

struct ForeignModel {
  std::string path;  // of the weights
  Gpt2Config config = {};
  std::map<std::string, TensorSource> tensors =
      {};                            // by our names, (OC, C); f32, f16 or bf16; wte may have padding rows
  std::string vocabulary_path = {};  // "" when the model brings none
};

}  // namespace zhgpt::interop
