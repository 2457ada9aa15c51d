// JSONL: one JSON object a line, of which one string field is the text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace zhgpt {

inline constexpr std::size_t kLongestRecordBytes = 64 << 20;

// The field's text, UTF-8. Only that one value is kept, so memory stays near the line's size whatever the
// line holds. Throws DataError naming `where` ("file:line") when the line is no JSON object or has no such
// string field.
std::string jsonl_text(std::string_view line, const std::string& field, const std::string& where);

}  // namespace zhgpt
