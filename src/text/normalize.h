// From decoded characters to the text that is learned: line ends, control characters, Unicode normalisation.
//
// A stream: characters come in pieces of any size, and where the pieces are cut never shows in the result.
// Memory is bounded: normalisation works on runs from one safe boundary to the next, and a run that goes on
// without one for kLongestRun characters (nothing but combining marks) is normalised in parts of that length.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace zhgpt {

enum class NormalForm { none, nfc, nfkc };
NormalForm normal_form(const std::string& name);  // throws ConfigError

// CRLF and a lone CR become LF.
class LineEnds {
 public:
  // True when `c` is to be left out; may turn `c` into LF.
  bool fold(char32_t& c) {
    const bool drop = c == U'\n' && after_cr_;
    after_cr_ = c == U'\r';
    if (after_cr_) c = U'\n';
    return drop;
  }
  bool after_cr() const { return after_cr_; }

 private:
  bool after_cr_ = false;
};

class TextCleaner {
 public:
  static constexpr std::size_t kLongestRun = 256;

  explicit TextCleaner(NormalForm form) : form_(form) {}

  // Appends what is certain so far to `out`.
  void push(std::u32string_view text, std::u32string& out);
  // Appends the rest and is ready for another text.
  void finish(std::u32string& out);

  // Characters left out so far: controls other than LF and TAB (NUL too), and noncharacters (U+FFFE, U+FDD0
  // …), which Unicode reserves and no text contains.
  std::int64_t dropped() const { return dropped_; }

 private:
  void push_character(char32_t c, std::u32string& out);
  void flush_run(std::u32string& out);

  NormalForm form_;
  LineEnds line_ends_;
  std::u32string run_;
  std::int64_t dropped_ = 0;
};

bool is_blank(char32_t c);  // space of any width, TAB or LF

}  // namespace zhgpt
