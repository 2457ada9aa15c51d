#include "io/document_words.h"

#include "text/utf8.h"

namespace zhgpt {
namespace {

constexpr std::int32_t kUnknownEntry = -1, kEndOfTextEntry = -2;  // checkpoints/FORMAT.md
constexpr std::string_view kUnknownWord = "<unk>", kEndOfTextWord = "<|endoftext|>";

}  // namespace

std::optional<std::string> word_of_entry(std::int32_t entry) {
  if (entry == kUnknownEntry) return std::string(kUnknownWord);
  if (entry == kEndOfTextEntry) return std::string(kEndOfTextWord);
  if (entry < 0 || !is_scalar_value(static_cast<char32_t>(entry))) return std::nullopt;
  std::string word;
  append_utf8(word, static_cast<char32_t>(entry));
  return word;
}

std::optional<std::int32_t> entry_of_word(std::string_view word) {
  if (word == kUnknownWord) return kUnknownEntry;
  if (word == kEndOfTextWord) return kEndOfTextEntry;
  std::u32string characters;
  const DecodeStep step = decode_utf8(word, true, characters);
  if (step.invalid > 0 || step.consumed != word.size() || characters.size() != 1) return std::nullopt;
  return static_cast<std::int32_t>(characters[0]);
}

}  // namespace zhgpt
