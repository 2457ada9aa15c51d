// A real terminal for the program: tmux draws what it writes and types what we say.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cli/process.h"

namespace zhgpt::test {

class Terminal {
 public:
  static bool is_there();  // whether this machine has tmux

  // Starts the program in a window of 80 columns and 50 rows. Its own server: other sessions are not touched.
  explicit Terminal(const std::vector<std::string>& arguments,
                    const std::map<std::string, std::string>& environment = {},
                    const std::string& program = ZHGPT_PROGRAM);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void type(const std::string& text) const;                // as it is
  void key(const std::string& name, int times = 1) const;  // "Enter", "BSpace", "Up", "C-c" …
  void enter(const std::string& text) const;               // typed, then Enter
  void paste(const std::string& text) const;               // at once, bracketed if the program asked for it
  std::string screen() const;                              // what stands there, without blanks at the ends
  std::string last_line() const;                           // the last that is not empty
  // Waits until what stands there satisfies; false, with the screen as a failure, when it never does.
  bool wait(const std::function<bool(const std::string& screen)>& condition) const;
  bool wait_for(const std::string& text) const;
  bool wait_for_prompt() const;  // the last line is an empty prompt
  bool wait_for_end() const;     // the program has left

 private:
  std::string tmux(const std::vector<std::string>& arguments) const;
  TempDirectory temp_;
};

}  // namespace zhgpt::test
