// All measures of quality.h on some texts, with the pieces that show what they mean.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "zhgpt/quality.h"

namespace zhgpt {

struct WrittenText {
  std::vector<std::int32_t> ids;  // without <|endoftext|>
  bool is_cut = false;            // stopped at its length, not at its end
};

struct TextMeasures {
  std::int64_t texts = 0, characters = 0;
  Copying copying;
  std::array<double, 3> distinct{};  // of pieces of 1, 2, 3 characters
  double looped = 0;
  PairedMarks marks;
  Verse verse;
  std::string longest_copied,
      loop;  // UTF-8: the longest copied piece, the first loop; "" where there is none
};
TextMeasures measure_texts(const std::vector<WrittenText>& texts, const Vocabulary& vocab,
                           const TokenArray& corpus);

// The first documents of `tokens`, each cut to `most` characters, until they have `characters` of them.
std::vector<WrittenText> first_texts(const TokenArray& tokens, std::int64_t characters, std::int64_t most);

}  // namespace zhgpt
