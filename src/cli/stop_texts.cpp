#include "cli/stop_texts.h"

#include <algorithm>
#include <utility>

namespace zhgpt::cli {

StopTexts::StopTexts(std::vector<std::string> texts) : texts_(std::move(texts)) {
  std::erase(texts_, "");
}

std::string StopTexts::push(std::string_view piece) {
  held_ += piece;
  for (const std::string& text : texts_) {
    if (!held_.ends_with(text)) continue;
    if (text.size() > found_.size()) found_ = text;  // the longest, should several end here
  }
  std::size_t keep = 0;  // the longest end of what is held that begins a stop text
  for (const std::string& text : texts_) {
    for (std::size_t n = std::min(text.size(), held_.size()); n > keep; --n) {
      if (held_.ends_with(std::string_view(text).substr(0, n))) keep = n;
    }
  }
  if (found()) keep = found_.size();
  const std::string shown = held_.substr(0, held_.size() - keep);
  held_.erase(0, shown.size());
  return shown;
}

std::string StopTexts::finish() {
  return found() ? "" : std::exchange(held_, "");
}

}  // namespace zhgpt::cli
