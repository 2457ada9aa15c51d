// GPT-2's names in a whole model and in its parts, where layers count from 0 again.
#pragma once

#include <cstdint>
#include <string>

#include "zhgpt/split.h"

namespace zhgpt {

// What a tensor of the whole model is called in a part that has these of its layers; "" when it is not there.
std::string name_in_part(const std::string& name, Part part, const LayerRange& layers);
// The other way. REQUIRES: a name that name_in_part gave.
std::string name_in_whole(const std::string& name, const LayerRange& layers);

}  // namespace zhgpt
