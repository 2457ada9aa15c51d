#include "text/documents.h"

#include "text/normalize.h"

namespace zhgpt {

void DocumentSplitter::push(std::u32string_view text) {
  for (const char32_t c : text) {
    if (c == U'\n') {
      end_line();
      line_begin_ = ++position_;
      continue;
    }
    if (at_ == SplitAt::separator && line_is_separator_) {
      const auto column = static_cast<std::size_t>(position_ - line_begin_);
      line_is_separator_ = column < rule_.separator.size() && rule_.separator[column] == c;
    }
    line_has_text_ = line_has_text_ || !is_blank(c);
    ++position_;
  }
}

void DocumentSplitter::end_unit() {
  end_line();
  end_document();
  line_begin_ = position_;
}

void DocumentSplitter::end_line() {
  const bool is_separator = at_ == SplitAt::separator && line_is_separator_ &&
                            position_ - line_begin_ == static_cast<std::int64_t>(rule_.separator.size());
  if (is_separator || (at_ == SplitAt::blank_line && !line_has_text_)) {
    end_document();
  } else if (line_has_text_) {
    if (!in_document_) document_.begin = line_begin_;
    in_document_ = true;
    document_.end = position_;
    if (at_ == SplitAt::line) end_document();
  }
  line_has_text_ = false;
  line_is_separator_ = true;
}

void DocumentSplitter::end_document() {
  if (in_document_) emit_(document_);
  in_document_ = false;
}

}  // namespace zhgpt
