#include "cli/verse.h"

#include <utf8proc.h>

#include <string_view>

namespace zhgpt::cli {
namespace {

// Of an acrostic whose lines may have any length: what is shorter is no line, what is longer never ends.
constexpr std::int64_t kShortestLine = 3, kLongestLine = 16;

}  // namespace

bool ends_line(char32_t c) {
  return std::u32string_view(U"\n，。！？；：,.!?;:").find(c) != std::u32string_view::npos;
}

bool counts_in_line(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
      return true;
    default:
      return c == U'〇' || c == U'□';
  }
}

void Verse::push(char32_t c) {
  if (ends_line(c)) {
    if (column_ > 0) ++line_;
    column_ = 0;
  } else if (counts_in_line(c)) {
    ++column_;
  }
  last_ = c;
}

bool Verse::allows(char32_t c) const {
  if (is_free()) return true;
  if (column_ == 0) {
    if (c == U'\n') return last_ != U'\n' && ends_line(last_);  // after a mark, and no blank line
    return line_ < heads_.size() ? c == heads_[line_] : counts_in_line(c);
  }
  const std::int64_t shortest = length_ ? length_ : kShortestLine, longest = length_ ? length_ : kLongestLine;
  return ends_line(c) ? column_ >= shortest : counts_in_line(c) && column_ < longest;
}

bool Verse::allows_end() const {
  return is_free() || (column_ == 0 && line_ >= heads_.size());
}

}  // namespace zhgpt::cli
