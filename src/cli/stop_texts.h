// Ends a text where one of some texts appears, however it comes: character by character, across tokens.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace zhgpt::cli {

class StopTexts {
 public:
  // Empty ones stop nothing.
  explicit StopTexts(std::vector<std::string> texts);

  // What may be shown now that `piece` was written: all but what may yet become a stop text.
  std::string push(std::string_view piece);
  // Whether a stop text is complete: it is held back for good.
  bool found() const { return !found_.empty(); }
  const std::string& found_text() const { return found_; }
  // The text is over, and what was held back is text after all; empty when a stop text was found.
  std::string finish();

 private:
  std::vector<std::string> texts_;
  std::string held_, found_;
};

}  // namespace zhgpt::cli
