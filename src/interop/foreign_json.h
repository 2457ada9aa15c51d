// JSON from strangers: read without going deep, shown without harm to a terminal.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace zhgpt::interop {

// What is nested deeper than 32 is left out: copying, comparing and printing a value recurse into it, and a
// file of brackets alone would take the whole stack. Discarded when it is not JSON.
inline nlohmann::json parse_foreign_json(const std::string& text) {
  const auto is_shallow = [](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    return depth <= 32;
  };
  return nlohmann::json::parse(text, is_shallow, /*allow_exceptions=*/false);
}

// As JSON in ASCII, cut to a length that a message bears.
inline std::string shown(const nlohmann::json& value) {
  return value.dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace).substr(0, 60);
}

// The same of a name, without the quotes around it.
inline std::string shown_name(const std::string& name) {
  const std::string text = shown(name);
  return text.substr(1, text.size() - (text.ends_with('"') ? 2 : 1));
}

}  // namespace zhgpt::interop
