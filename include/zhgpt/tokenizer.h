// Vocabulary: which characters a model knows, and the numbers that stand for them.
//
// A token is one Unicode character. Ids 0 and 1 are <unk> and <|endoftext|>; the others are the training
// text's characters by falling frequency, equal ones by code point, so that the same text always gives the
// same ids.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace zhgpt {

inline constexpr std::int32_t kUnknownId = 0;
inline constexpr std::int32_t kEndOfTextId = 1;

// How often each character occurs.
using CharacterCounts = std::unordered_map<char32_t, std::int64_t>;

class Vocabulary {
 public:
  Vocabulary() = default;
  static Vocabulary build(const CharacterCounts& counts, std::int64_t min_count);

  // The record in a checkpoint: one entry an id; -1 for <unk>, -2 for <|endoftext|>, else the code point.
  // Throws CheckpointError when it is not such a record (wrong specials, duplicates, surrogates, out of
  // range).
  static Vocabulary from_code_points(std::span<const std::int32_t> code_points);
  const std::vector<std::int32_t>& code_points() const { return code_points_; }

  // vocab.json: {"format": "zhgpt-vocab", "version": 1, "tokens": ["<unk>", "<|endoftext|>", "，", …]}.
  static Vocabulary load(const std::string& path);  // throws DataError
  std::string to_json() const;

  std::int64_t size() const { return static_cast<std::int64_t>(code_points_.size()); }
  std::int32_t id(char32_t character) const;  // kUnknownId when it is not known
  std::string text(std::int32_t id) const;    // UTF-8; "\uFFFD" for <unk>, "" for <|endoftext|>

  // decode(encode(x)) == x for valid UTF-8 whose characters are all known. `unknown`, when given, receives
  // the distinct unknown characters in order of appearance. Throws DataError on invalid UTF-8.
  std::vector<std::int32_t> encode(std::string_view utf8, std::u32string* unknown = nullptr) const;
  std::string decode(std::span<const std::int32_t> ids) const;

 private:
  std::vector<std::int32_t> code_points_;
  std::unordered_map<char32_t, std::int32_t> ids_;
};

}  // namespace zhgpt
