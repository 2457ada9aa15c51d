// KeyValues as JSON, for people and for other programs.
#pragma once

#include <nlohmann/json.hpp>

#include "zhgpt/key_values.h"

namespace zhgpt {

using Json = nlohmann::ordered_json;

// Numbers and truth as they are, quoted strings as strings, numbers that are not finite as null.
Json record_json(const KeyValues& record);

}  // namespace zhgpt
