// Vocabulary: see zhgpt/tokenizer.h.
#include "zhgpt/tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "text/utf8.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

constexpr std::int32_t kUnknownMark = -1, kEndOfTextMark = -2;
constexpr const char* kUnknownName = "<unk>";
constexpr const char* kEndOfTextName = "<|endoftext|>";

std::string describe(std::int32_t code_point) {
  if (code_point < 0) return std::to_string(code_point);
  char text[16];
  std::snprintf(text, sizeof text, "U+%04X", static_cast<unsigned>(code_point));
  return text;
}

// The first entry that does not belong where it is.
std::optional<std::size_t> first_bad_entry(std::span<const std::int32_t> code_points) {
  std::unordered_map<std::int32_t, std::size_t> seen;
  for (std::size_t i = 0; i < code_points.size(); ++i) {
    const std::int32_t c = code_points[i];
    const bool fits = i == 0 ? c == kUnknownMark
                      : i == 1
                          ? c == kEndOfTextMark
                          : c >= 0 && is_scalar_value(static_cast<char32_t>(c)) && seen.emplace(c, i).second;
    if (!fits) return i;
  }
  if (code_points.size() < 2) return code_points.size();
  return std::nullopt;
}

// What the record holds for the token that vocab.json spells `text` at place `i`.
std::optional<std::int32_t> entry_of(std::size_t i, const std::string& text) {
  if (i == 0 && text == kUnknownName) return kUnknownMark;
  if (i == 1 && text == kEndOfTextName) return kEndOfTextMark;
  std::u32string characters;
  decode_utf8(text, true, characters);
  if (characters.size() != 1) return std::nullopt;
  return static_cast<std::int32_t>(characters[0]);
}

template <class Failure>
void check(std::span<const std::int32_t> code_points, const std::string& where) {
  const auto bad = first_bad_entry(code_points);
  if (!bad) return;
  const std::string found = *bad < code_points.size() ? describe(code_points[*bad]) : "-";
  throw Failure(tr(Msg::vocab_bad, where, *bad, found));
}

}  // namespace

Vocabulary Vocabulary::build(const CharacterCounts& counts, std::int64_t min_count) {
  std::vector<std::pair<char32_t, std::int64_t>> kept;
  for (const auto& entry : counts) {
    if (entry.second >= min_count) kept.push_back(entry);
  }
  std::sort(kept.begin(), kept.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  std::vector<std::int32_t> code_points = {kUnknownMark, kEndOfTextMark};
  for (const auto& entry : kept) code_points.push_back(static_cast<std::int32_t>(entry.first));
  return from_code_points(code_points);
}

Vocabulary Vocabulary::from_code_points(std::span<const std::int32_t> code_points) {
  check<CheckpointError>(code_points, tr(Msg::vocab_record));
  Vocabulary vocab;
  vocab.code_points_.assign(code_points.begin(), code_points.end());
  for (std::size_t i = 2; i < code_points.size(); ++i) {
    vocab.ids_.emplace(static_cast<char32_t>(code_points[i]), static_cast<std::int32_t>(i));
  }
  return vocab;
}

Vocabulary Vocabulary::load(const std::string& path) {
  const nlohmann::json file =
      nlohmann::json::parse(read_text_file(path), nullptr, /*allow_exceptions=*/false);
  const auto is = [&](const char* key, const nlohmann::json& value) {
    return file.contains(key) && file[key] == value;
  };
  if (!file.is_object() || !is("format", "zhgpt-vocab") || !is("version", 1) || !file.contains("tokens") ||
      !file["tokens"].is_array()) {
    throw DataError(tr(Msg::vocab_bad_file, path));
  }
  const nlohmann::json& tokens = file["tokens"];
  std::vector<std::int32_t> code_points(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto entry = tokens[i].is_string() ? entry_of(i, tokens[i].get<std::string>()) : std::nullopt;
    if (!entry) {
      // Nothing but a string is printed: how deep another value nests is the file's choice, and printing it recurses.
      throw DataError(tr(Msg::vocab_bad, path, i, tokens[i].is_string() ? tokens[i].dump() : tokens[i].type_name()));
    }
    code_points[i] = *entry;
  }
  check<DataError>(code_points, path);
  return from_code_points(code_points);
}

std::string Vocabulary::to_json() const {
  nlohmann::ordered_json file = {{"format", "zhgpt-vocab"}, {"version", 1}};
  nlohmann::ordered_json& tokens = file["tokens"] = {kUnknownName, kEndOfTextName};
  for (std::int32_t i = 2; i < size(); ++i) tokens.push_back(text(i));
  return file.dump(1) + "\n";
}

std::int32_t Vocabulary::id(char32_t character) const {
  const auto found = ids_.find(character);
  return found == ids_.end() ? kUnknownId : found->second;
}

std::string Vocabulary::text(std::int32_t id) const {
  if (id == kEndOfTextId) return "";
  const bool is_known = id > kEndOfTextId && id < size();
  std::string utf8;
  append_utf8(utf8, is_known ? static_cast<char32_t>(code_points_[static_cast<std::size_t>(id)])
                             : kReplacementCharacter);
  return utf8;
}

std::vector<std::int32_t> Vocabulary::encode(std::string_view utf8, std::u32string* unknown) const {
  std::u32string characters;
  const DecodeStep step = decode_utf8(utf8, true, characters);
  if (step.invalid > 0) throw DataError(tr(Msg::text_not_utf8, step.consumed));
  std::vector<std::int32_t> ids;
  ids.reserve(characters.size());
  for (const char32_t c : characters) {
    ids.push_back(id(c));
    if (unknown && ids.back() == kUnknownId && unknown->find(c) == std::u32string::npos) *unknown += c;
  }
  return ids;
}

std::string Vocabulary::decode(std::span<const std::int32_t> ids) const {
  std::string utf8;
  for (const std::int32_t id : ids) utf8 += text(id);
  return utf8;
}

}  // namespace zhgpt
