// What verse asks of the next character: lines of a length, lines that begin with given characters.
//
// A line here is what a reader of verse calls one: it ends with a mark such as ， or 。, or with a line
// break.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace zhgpt::cli {

bool ends_line(char32_t c);       // ，。！？；：, their narrow forms, or a line break
bool counts_in_line(char32_t c);  // letters and numerals, Han above all; neither marks nor blanks

class Verse {
 public:
  // length: characters a line, 0 for any. heads: what the first lines begin with, one each; empty for none.
  Verse(std::int64_t length, std::u32string heads) : length_(length), heads_(std::move(heads)) {}

  bool is_free() const { return length_ == 0 && heads_.empty(); }
  // The text went on with `c`.
  void push(char32_t c);
  // Whether the text may go on with `c`, and whether it may end.
  bool allows(char32_t c) const;
  bool allows_end() const;
  // Whether every line that was asked for by its first character is written.
  bool complete() const { return !heads_.empty() && line_ >= heads_.size() && column_ == 0; }
  // Whether `c` begins a line of its own on the screen though no line break comes before it.
  bool breaks_before(char32_t c) const {
    return !heads_.empty() && column_ == 0 && line_ > 0 && c != U'\n' && last_ != U'\n';
  }

 private:
  std::int64_t length_;
  std::u32string heads_;
  std::size_t line_ = 0;     // lines that are complete
  std::int64_t column_ = 0;  // characters of the present one that count
  char32_t last_ = U'\n';
};

}  // namespace zhgpt::cli
