#include "cli/console.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace zhgpt::cli {

std::atomic<int> stop_signal{0};

namespace {

bool line_is_drawn = false;

extern "C" void on_signal(int number) {
  int none = 0;
  if (!stop_signal.compare_exchange_strong(none, number)) _exit(128 + number);
}

// A character in the last column would make some terminals wrap.
int progress_columns() {
  winsize size{};
  return (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80) - 1;
}

// Calls f(bytes, columns) for each character; stops when it returns false. Invalid bytes count one column.
template <class F>
void for_each_character(std::string_view utf8, F&& f) {
  while (!utf8.empty()) {
    utf8proc_int32_t code = 0;
    const auto read = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(utf8.data()),
                                       static_cast<utf8proc_ssize_t>(utf8.size()), &code);
    const std::size_t bytes = read > 0 ? static_cast<std::size_t>(read) : 1;
    if (!f(bytes, read > 0 ? utf8proc_charwidth(code) : 1)) return;
    utf8.remove_prefix(bytes);
  }
}

std::string cut_to_width(std::string_view text, int columns) {
  std::size_t kept = 0;
  for_each_character(text, [&](std::size_t bytes, int width) {
    if ((columns -= width) < 0) return false;
    kept += bytes;
    return true;
  });
  return std::string(text.substr(0, kept));
}

}  // namespace

void install_signal_handlers() {
  struct sigaction action {};
  action.sa_handler = on_signal;  // no SA_RESTART: a blocked read must return
  for (int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);  // a closed pipe is a failed write, not the end
  signal(SIGXFSZ, SIG_IGN);
}

void throw_if_interrupted() {
  if (const int number = stop_signal.load()) throw Interrupted{number};
}

bool stderr_is_terminal() {
  return isatty(STDERR_FILENO) == 1;
}
bool stdin_is_terminal() {
  return isatty(STDIN_FILENO) == 1;
}
bool stdout_is_terminal() {
  return isatty(STDOUT_FILENO) == 1;
}

int terminal_columns() {
  winsize size{};
  for (int stream : {STDOUT_FILENO, STDERR_FILENO}) {
    if (ioctl(stream, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  }
  return 80;
}

void draw_progress_line(const std::string& text) {
  if (!stderr_is_terminal()) return;
  std::fprintf(stderr, "\r%s\033[K", cut_to_width(text, progress_columns()).c_str());
  std::fflush(stderr);
  line_is_drawn = true;
}

bool fits_progress_line(const std::string& text) {
  return display_width(text) <= progress_columns();
}

void end_progress_line() {
  if (line_is_drawn) std::fputs("\r\033[K", stderr);
  line_is_drawn = false;
}

int display_width(std::string_view utf8) {
  int total = 0;
  for_each_character(utf8, [&](std::size_t, int width) {
    total += width;
    return true;
  });
  return total;
}

std::string padding(std::string_view utf8, int columns) {
  return std::string(static_cast<std::size_t>(std::max(1, columns - display_width(utf8))), ' ');
}

std::string progress_bar(double fraction, int columns) {
  static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = static_cast<int>(std::lround(std::clamp(fraction, 0.0, 1.0) * columns * 8));
  std::string bar = "▕";
  int used = eighths / 8;
  for (int i = 0; i < used; ++i) bar += "█";
  if (eighths % 8) {
    bar += kEighths[eighths % 8];
    ++used;
  }
  return bar + std::string(static_cast<std::size_t>(columns - used), ' ') + "▏";
}

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string short_number(double value) {
  if (value >= 1e6) return fixed(value / 1e6, 2) + "M";
  if (value >= 1e4) return fixed(value / 1e3, 1) + "k";
  return fixed(value, 0);
}

std::string short_duration(double seconds) {
  const auto total = static_cast<long long>(std::max(0.0, seconds) + 0.5);
  char text[64];
  if (total >= 3600) {
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", total / 3600, total / 60 % 60, total % 60);
  } else {
    std::snprintf(text, sizeof text, "%02lld:%02lld", total / 60, total % 60);
  }
  return text;
}

}  // namespace zhgpt::cli
