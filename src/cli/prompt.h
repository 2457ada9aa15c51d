// From what a person typed to ids: cleaned as the model's corpus was, and no character lost in silence.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "zhgpt/config.h"
#include "zhgpt/tokenizer.h"

namespace zhgpt::cli {

// A prompt as a model reads it. A character that the model has never seen is replaced by a variant that it
// knows (variants.h), or else left out.
struct Prompt {
  std::string text;  // what is left, UTF-8
  std::vector<std::int32_t> ids;
  std::vector<std::string> replaced, left_out;  // each once: "國→国", "龘"
};
// Throws DataError on invalid UTF-8.
Prompt read_prompt(const Vocabulary& vocab, const TextConfig& text, const std::string& typed);

// On stderr, a sentence each: what was replaced and what left out.
void say_notes(const Prompt& prompt);

// The ids, with the notes said.
std::vector<std::int32_t> encode_prompt(const Vocabulary& vocab, const TextConfig& text,
                                        const std::string& typed);

// UTF-8 to characters. Throws DataError naming the byte.
std::u32string characters_of(const std::string& typed);

}  // namespace zhgpt::cli
