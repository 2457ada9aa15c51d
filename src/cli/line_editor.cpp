#include "cli/line_editor.h"

#include <histedit.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "cli/console.h"
#include "text/utf8.h"

namespace zhgpt::cli {
namespace {

constexpr int kHistoryLines = 1000;
constexpr char32_t kPastedBreak = U'\u21B5';  // ↵: a line break inside a line, while it is edited
constexpr std::string_view kPasteBegins = "\033[200~", kPasteEnds = "\033[201~";

// A line as it was pasted.
std::string with_line_breaks(std::string_view line) {
  std::u32string characters;
  decode_utf8(line, true, characters);
  std::string out;
  for (char32_t c : characters) append_utf8(out, c == kPastedBreak ? U'\n' : c);
  return out;
}

}  // namespace

std::string history_path() {
  if (const char* file = std::getenv("ZHGPT_HISTORY")) return file;
  const auto below = [](const char* variable, const char* path) {
    const char* directory = std::getenv(variable);
    return directory && *directory ? std::string(directory).append(path) : std::string();
  };
  const std::string state = below("XDG_STATE_HOME", "/zhgpt/history");
  return !state.empty() ? state : below("HOME", "/.local/state/zhgpt/history");
}

struct LineEditor::State {
  EditLine* editor = nullptr;
  History* history = nullptr;
  std::string history_file, prompt, bytes;  // bytes: read, not yet handed on
  bool pasting = false;

  static State& of(EditLine* editor) {
    void* state = nullptr;
    el_get(editor, EL_CLIENTDATA, &state);
    return *static_cast<State*>(state);
  }
  static char* prompt_of(EditLine* editor) { return of(editor).prompt.data(); }
  // 1 and a character, or 0 at the end and when a signal came.
  static int next_character(EditLine* editor, wchar_t* out) { return of(editor).next(out); }

  bool fill() {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    // A signal makes poll and read return; the timeout is for one that comes just before.
    while (stop_signal.load() == 0) {
      const int ready = ::poll(&input, 1, 200);
      if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
      char piece[4096];
      const ssize_t n = ready < 0 ? 0 : ::read(STDIN_FILENO, piece, sizeof piece);
      if (n < 0 && errno == EINTR) continue;
      if (n > 0) bytes.append(piece, static_cast<std::size_t>(n));
      return n > 0;
    }
    return false;
  }

  int next(wchar_t* out) {
    for (;;) {
      if (bytes.starts_with(pasting ? kPasteEnds : kPasteBegins)) {
        bytes.erase(0, kPasteBegins.size());
        pasting = !pasting;
        continue;
      }
      std::u32string one;
      const std::size_t length = bytes.empty() ? 0 : std::min<std::size_t>(bytes.size(), length_of(bytes[0]));
      const DecodeStep step = decode_utf8(std::string_view(bytes).substr(0, length), false, one);
      if (one.empty() && step.invalid == 0) {  // a character's end has yet to come
        if (!fill()) return 0;
        continue;
      }
      bytes.erase(0, step.consumed + step.invalid);
      char32_t c = one.empty() ? kReplacementCharacter : one[0];
      if (pasting && (c == U'\n' || c == U'\r')) c = kPastedBreak;
      *out = static_cast<wchar_t>(c);
      return 1;
    }
  }

  static std::size_t length_of(char first) {
    const auto byte = static_cast<unsigned char>(first);
    return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
  }

  void remember(const std::string& line) {
    HistEvent event;
    ::history(history, &event, H_ENTER, line.c_str());
  }
};

LineEditor::LineEditor(std::string history_file) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.history_file = std::move(history_file);
  s.history = history_init();
  HistEvent event;
  ::history(s.history, &event, H_SETSIZE, kHistoryLines);
  ::history(s.history, &event, H_SETUNIQUE, 1);
  std::ifstream in(s.history_file);
  for (std::string line; std::getline(in, line);) s.remember(line);

  s.editor = el_init("zhgpt", stdin, stderr, stderr);  // texts alone go to stdout
  el_set(s.editor, EL_CLIENTDATA, &s);
  el_set(s.editor, EL_PROMPT, &State::prompt_of);
  el_set(s.editor, EL_EDITOR, "emacs");
  el_set(s.editor, EL_HIST, ::history, s.history);
  el_set(s.editor, EL_GETCFN, &State::next_character);
  el_set(s.editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_source(s.editor, nullptr);  // ~/.editrc, if there is one
}

LineEditor::~LineEditor() {
  el_end(state_->editor);
  history_end(state_->history);
}

std::optional<std::string> LineEditor::read(const std::string& prompt) {
  State& s = *state_;
  s.prompt = prompt;
  s.pasting = false;
  std::fputs("\033[?2004h", stderr);  // the terminal marks what is pasted
  std::fflush(stderr);
  el_resize(s.editor);
  int length = 0;
  const char* got = el_gets(s.editor, &length);
  std::fputs("\033[?2004l", stderr);
  std::fflush(stderr);
  if (!got || length <= 0 || stop_signal.load() != 0) return std::nullopt;
  std::string line(got, static_cast<std::size_t>(length));
  if (line.ends_with('\n')) line.pop_back();
  if (line.find_first_not_of(" \t") != std::string::npos) {
    s.remember(line);
    if (!s.history_file.empty()) {
      std::error_code ignored;
      std::filesystem::create_directories(std::filesystem::path(s.history_file).parent_path(), ignored);
      std::ofstream(s.history_file, std::ios::app) << line << "\n";
    }
  }
  return with_line_breaks(line);
}

}  // namespace zhgpt::cli
