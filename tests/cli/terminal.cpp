#include "cli/terminal.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace zhgpt::test {
namespace {

constexpr auto kDeadline = std::chrono::seconds(60);
constexpr auto kPoll = std::chrono::milliseconds(20);
constexpr const char* kTmux = "/usr/bin/tmux";
constexpr const char* kEnded = "[the program has ended]";

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

bool Terminal::is_there() {
  return std::filesystem::exists(kTmux);
}

Terminal::Terminal(const std::vector<std::string>& arguments,
                   const std::map<std::string, std::string>& environment, const std::string& program) {
  std::string command =
      "env -u ZHGPT_HISTORY LC_ALL=C.UTF-8 TERM=screen CUDA_VISIBLE_DEVICES= HOME=" + quoted(temp_.file(""));
  for (const auto& [name, value] : environment) command += " " + name + "=" + quoted(value);
  command += " " + quoted(program);
  for (const std::string& argument : arguments) command += " " + quoted(argument);
  command += "; echo " + quoted(kEnded) + " $?; exec cat";  // the window stays, to be looked at
  tmux({"-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "50", command});
}

Terminal::~Terminal() {
  tmux({"kill-server"});
}

std::string Terminal::tmux(const std::vector<std::string>& arguments) const {
  Invocation invocation{.program = kTmux};
  invocation.arguments = {"-u", "-S", temp_.file("tmux")};
  invocation.arguments.insert(invocation.arguments.end(), arguments.begin(), arguments.end());
  return run_program(invocation).out;
}

void Terminal::type(const std::string& text) const {
  tmux({"send-keys", "-l", "--", text});
}

void Terminal::key(const std::string& name, int times) const {
  tmux({"send-keys", "-N", std::to_string(times), name});
}

void Terminal::enter(const std::string& text) const {
  type(text);
  key("Enter");
}

void Terminal::paste(const std::string& text) const {
  tmux({"set-buffer", "--", text});
  tmux({"paste-buffer", "-p", "-r"});
}

std::string Terminal::screen() const {
  std::string text = tmux({"capture-pane", "-p", "-J"});
  text.erase(text.find_last_not_of(" \n") + 1);
  return text;
}

std::string Terminal::last_line() const {
  const std::string text = screen();
  return text.substr(text.rfind('\n') + 1);
}

bool Terminal::wait(const std::function<bool(const std::string&)>& condition) const {
  const auto deadline = std::chrono::steady_clock::now() + kDeadline;
  std::string seen;
  while (std::chrono::steady_clock::now() < deadline) {
    if (condition(seen = screen())) return true;
    std::this_thread::sleep_for(kPoll);
  }
  ADD_FAILURE() << "never came; the screen is:\n" << seen;
  return false;
}

bool Terminal::wait_for(const std::string& text) const {
  return wait([&](const std::string& seen) { return seen.find(text) != std::string::npos; });
}

bool Terminal::wait_for_prompt() const {
  return wait([](const std::string& seen) { return seen == ">" || seen.ends_with("\n>"); });
}

bool Terminal::wait_for_end() const {
  return wait_for(kEnded + std::string(" 0"));
}

}  // namespace zhgpt::test
