// What written text is like, by measures that a reader can check by hand: copied, repetitive, balanced,
// verse.
//
// Pure functions: no randomness, no locale, no file. A text is one document, in characters or in ids. Sources
// and limits of each measure: docs/quality.md.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "zhgpt/dataset.h"

namespace zhgpt {

// How much of some texts a corpus holds word for word. A piece is n ids in a row, within one text.
struct Copying {
  static constexpr std::array<std::int64_t, 3> kLengths{8, 16, 32};
  std::array<std::int64_t, 3> pieces{}, copied{};  // of each length: all, and those that the corpus holds
  std::int64_t longest = 0;                        // ids of the longest piece that the corpus holds;
  std::size_t longest_text = 0;                    // the first such is in this text,
  std::int64_t longest_begin = 0;                  // from this id on

  double rate(std::size_t i) const;  // copied / pieces, 0 to 1; NaN where no text is so long
};
// <unk> is like nothing, not even itself. Time and memory grow with the texts, and time with the corpus.
Copying measure_copying(const std::vector<std::vector<std::int32_t>>& texts, const TokenArray& corpus);

// Different pieces of n characters among all, 0 to 1; NaN where no text is so long. Falls with the amount of
// text: compare equal amounts. REQUIRES: n > 0.
double distinct_share(const std::vector<std::u32string>& texts, std::size_t n);

// A piece of 1 to 64 characters that follows itself at least twice, and for 8 characters or more.
struct Loop {
  std::size_t begin = 0, period = 0, length = 0;  // characters; length has all rounds, the first too
};
// Of those that begin at one place the longest; none overlap. In the order of the text.
std::vector<Loop> find_loops(std::u32string_view text);
// What loops repeat, among all characters, 0 to 1: everything in them but their first round.
double looped_share(const std::vector<std::u32string>& texts);

// Marks that come in pairs, 《》〈〉「」『』“”（）【】, and those among them that lack their partner.
struct PairedMarks {
  std::int64_t marks = 0, unpaired = 0;
};
// `is_cut`: the text was stopped, not finished: what is still open at its end is no fault.
PairedMarks count_paired_marks(std::u32string_view text, bool is_cut);

// The rhyme of a character in the Chinese New Rhymes, 1 to 14, by its first reading in modern Mandarin,
// without its tone; 0 where none is known: outside U+4E00 to U+9FFF, or without a reading in Unihan.
int rhyme_of(char32_t character);

// Lines as verse has them, and how they end. A line is a run of Han characters; a sentence ends with the Han
// character before 。！ or ？ (closing marks may stand between), and a pair are two that follow each other in
// a text. Pairs of whose ends one has no known rhyme are left out.
struct Verse {
  std::map<std::int64_t, std::int64_t> lines;  // how many lines of so many characters
  std::int64_t pairs = 0, rhymed = 0;
  std::map<int, std::int64_t> ends;  // sentence ends of each rhyme

  std::int64_t line_count() const;
  double line_share(std::int64_t characters) const;  // of the lines; NaN where there are none
  double rhymed_share() const;                       // rhymed / pairs; NaN where there are none
  // What share of pairs would rhyme if the same ends were shuffled.
  double chance() const;
};
Verse measure_verse(const std::vector<std::u32string>& texts);

}  // namespace zhgpt
