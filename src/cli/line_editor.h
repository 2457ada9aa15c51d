// One line from a terminal, edited as a person expects it: arrows, backspace over wide characters, history.
#pragma once

#include <memory>
#include <optional>
#include <string>

namespace zhgpt::cli {

// Where lines are remembered: $ZHGPT_HISTORY (empty: nowhere), else zhgpt/history in $XDG_STATE_HOME or in
// ~/.local/state. Empty without any of them.
std::string history_path();

class LineEditor {
 public:
  // Lines of earlier sessions are read from `history_file`, new ones are added to it; a file that cannot be
  // read or written is done without. Empty: none.
  explicit LineEditor(std::string history_file);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // Without its end. Lines that were pasted at once come as one, with line breaks in it. nullopt when the
  // terminal has no more (Ctrl-D), and when a signal came, which then lies in stop_signal.
  std::optional<std::string> read(const std::string& prompt);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace zhgpt::cli
