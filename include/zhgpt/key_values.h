// Ordered `key = value` lines: the readable records in checkpoints and in config.toml (a subset of TOML).
//
// Keys are [a-z0-9_]+, unique; values are numbers, true/false or "strings" in TOML's basic quoting, kept here
// as their text. Lines end in \n; blank lines and lines that start with # are skipped when reading.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zhgpt {

class KeyValues {
 public:
  // Throws ConfigError naming `source` and the line when the text is not of this form.
  static KeyValues parse(std::string_view text, std::string_view source);
  std::string to_string() const;

  void set(std::string key, std::string value);  // replaces, or appends
  void set_quoted(std::string key, std::string_view value);
  void set_integer(std::string key, std::int64_t value);
  void set_real(std::string key, double value);  // shortest text that reads back to the same bits

  bool has(std::string_view key) const { return find(key) != nullptr; }
  // These throw ConfigError when the key is missing or its value is of another kind.
  const std::string& get(std::string_view key) const;
  std::string get_quoted(std::string_view key) const;
  std::int64_t get_integer(std::string_view key) const;
  double get_real(std::string_view key) const;

  const std::vector<std::pair<std::string, std::string>>& entries() const { return entries_; }

 private:
  const std::string* find(std::string_view key) const;
  std::vector<std::pair<std::string, std::string>> entries_;
};

std::string toml_quote(std::string_view text);
std::string toml_unquote(std::string_view quoted);  // throws ConfigError

// Whole-string number parsing: no spaces, no trailing characters, no locale. They throw ConfigError naming
// `what`.
std::int64_t parse_integer(std::string_view text, std::string_view what);
double parse_real(std::string_view text, std::string_view what);  // rejects nan and inf

}  // namespace zhgpt
