// Where documents begin and end in a stream of cleaned text.
//
// Each text comes in units: a file, or a record of a JSONL file, which is always one document. Blank lines at
// a document's two ends do not belong to it; a document of nothing but blank lines is none.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace zhgpt {

enum class SplitAt { unit_end, line, blank_line, separator };

struct DocumentRule {
  SplitAt at = SplitAt::unit_end;
  std::u32string separator;  // of SplitAt::separator: the line that stands between two documents
};

// Characters [begin, end) of the stream.
struct DocumentRange {
  std::int64_t begin = 0, end = 0;
  std::int64_t size() const { return end - begin; }
};

class DocumentSplitter {
 public:
  using Emit = std::function<void(DocumentRange)>;

  DocumentSplitter(DocumentRule rule, Emit emit) : rule_(std::move(rule)), emit_(std::move(emit)) {}

  void begin_unit(bool is_record) { at_ = is_record ? SplitAt::unit_end : rule_.at; }
  void push(std::u32string_view text);
  void end_unit();

 private:
  void end_line();
  void end_document();

  DocumentRule rule_;
  Emit emit_;
  SplitAt at_ = SplitAt::unit_end;
  std::int64_t position_ = 0, line_begin_ = 0;
  bool line_has_text_ = false;
  bool line_is_separator_ = true;  // so far
  bool in_document_ = false;
  DocumentRange document_;
};

}  // namespace zhgpt
