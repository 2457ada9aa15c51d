#include "zhgpt/key_values.h"

#include <charconv>
#include <cmath>

#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

bool is_key(std::string_view key) {
  if (key.empty()) return false;
  for (char c : key) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) return false;
  }
  return true;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

template <class Number>
Number parse_whole(std::string_view text, std::string_view what) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    throw ConfigError(tr(std::is_integral_v<Number> ? Msg::not_an_integer : Msg::not_a_number, what, text));
  }
  return value;
}

}  // namespace

std::int64_t parse_integer(std::string_view text, std::string_view what) { return parse_whole<std::int64_t>(text, what); }

double parse_real(std::string_view text, std::string_view what) {
  const auto value = parse_whole<double>(text, what);
  if (!std::isfinite(value)) throw ConfigError(tr(Msg::not_a_number, what, text));
  return value;
}

KeyValues KeyValues::parse(std::string_view text, std::string_view source) {
  KeyValues record;
  std::int64_t line_number = 0;
  while (!text.empty()) {
    ++line_number;
    const std::size_t end = text.find('\n');
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty() || line.front() == '#') continue;
    const std::size_t equals = line.find('=');
    const std::string_view key = equals == std::string_view::npos ? line : trimmed(line.substr(0, equals));
    if (equals == std::string_view::npos || !is_key(key) || record.has(key)) {
      throw ConfigError(tr(Msg::bad_record_line, source, line_number, line.substr(0, 80)));
    }
    record.entries_.emplace_back(key, trimmed(line.substr(equals + 1)));
  }
  return record;
}

std::string KeyValues::to_string() const {
  std::string text;
  for (const auto& [key, value] : entries_) text += key + " = " + value + "\n";
  return text;
}

const std::string* KeyValues::find(std::string_view key) const {
  for (const auto& [name, value] : entries_) {
    if (name == key) return &value;
  }
  return nullptr;
}

void KeyValues::set(std::string key, std::string value) {
  for (auto& [name, old] : entries_) {
    if (name == key) {
      old = std::move(value);
      return;
    }
  }
  entries_.emplace_back(std::move(key), std::move(value));
}
void KeyValues::set_quoted(std::string key, std::string_view value) { set(std::move(key), toml_quote(value)); }
void KeyValues::set_integer(std::string key, std::int64_t value) { set(std::move(key), std::to_string(value)); }
void KeyValues::set_real(std::string key, double value) { set(std::move(key), to_text(value)); }

const std::string& KeyValues::get(std::string_view key) const {
  const std::string* value = find(key);
  if (!value) throw ConfigError(tr(Msg::missing_key, key));
  return *value;
}
std::string KeyValues::get_quoted(std::string_view key) const { return toml_unquote(get(key)); }
std::int64_t KeyValues::get_integer(std::string_view key) const { return parse_integer(get(key), key); }
double KeyValues::get_real(std::string_view key) const {
  const std::string& text = get(key);
  if (text == "inf") return HUGE_VAL;  // a best loss before any evaluation
  if (text == "nan" || text == "-nan") return std::nan("");  // the loss of a step that was skipped
  return parse_real(text, key);
}

std::string toml_quote(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (code < 0x20 || code == 0x7F) {
      constexpr char kHex[] = "0123456789ABCDEF";
      out += "\\u00";
      out += kHex[code >> 4];
      out += kHex[code & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string toml_unquote(std::string_view quoted) {
  const auto fail = [&] { return ConfigError(tr(Msg::bad_quoted_string, quoted.substr(0, 80))); };
  if (quoted.size() < 2 || quoted.front() != '"' || quoted.back() != '"') throw fail();
  std::string out;
  const std::string_view body = quoted.substr(1, quoted.size() - 2);
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (body[i] == '"') throw fail();
    if (body[i] != '\\') {
      out += body[i];
      continue;
    }
    if (++i == body.size()) throw fail();
    switch (body[i]) {
      case '"': out += '"'; break;
      case '\\': out += '\\'; break;
      case 'n': out += '\n'; break;
      case 't': out += '\t'; break;
      case 'u': {
        unsigned code = 0;
        const auto digits = body.substr(i + 1, 4);
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
        if (digits.size() != 4 || error != std::errc{} || end != digits.data() + 4 || code > 0x7F) throw fail();
        out += static_cast<char>(code);
        i += 4;
        break;
      }
      default: throw fail();
    }
  }
  return out;
}

}  // namespace zhgpt
