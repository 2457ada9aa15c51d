// Small pieces of HTML.
#pragma once

#include <string>
#include <string_view>

namespace zhgpt {

std::string escaped(std::string_view text);  // for text and for attributes in double quotes
// <tag class="kind">inner</tag>; `inner` is HTML already.
std::string element(const char* tag, std::string_view kind, std::string_view inner);

// A paragraph of text, which is escaped.
std::string paragraph(std::string_view kind, std::string_view text);

std::string rounded(double value, int digits);      // "–" where it is not finite
std::string percent(double share, int digits = 1);  // 0.123 -> "12.3"; "–" where it is not finite
std::string brief(double value);  // 1234 -> 1.23k, 0.0012 -> 0.0012: what fits beside an axis

}  // namespace zhgpt
