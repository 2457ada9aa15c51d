// Words: the vocabulary's entries as text, and back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace zhgpt {

// "<unk>", "<|endoftext|>" or the character; nullopt when the entry is none.
std::optional<std::string> word_of_entry(std::int32_t entry);
std::optional<std::int32_t> entry_of_word(std::string_view word);

}  // namespace zhgpt
