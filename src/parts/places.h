// Where in the whole model's file each tensor of a part stood, as short text: "0-1,4-9,12".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace zhgpt {

std::string places_text(const std::vector<std::int64_t>& places);  // REQUIRES: ascending

// Exactly `count` ascending places below `end`. Throws ConfigError for anything else, before it takes more
// memory than that.
std::vector<std::int64_t> parse_places(std::string_view text, std::size_t count, std::int64_t end);

}  // namespace zhgpt
