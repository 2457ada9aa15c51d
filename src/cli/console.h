// The terminal: signals, the one line that is redrawn, and how wide characters are.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace zhgpt::cli {

// The number of the first SIGINT, SIGTERM or SIGHUP, else 0. A second one ends the process at once.
extern std::atomic<int> stop_signal;
void install_signal_handlers();

// Thrown between steps of work that has nothing to save yet.
struct Interrupted {
  int signal;
};
void throw_if_interrupted();

bool stderr_is_terminal();
bool stdin_is_terminal();
bool stdout_is_terminal();
int terminal_columns();  // of standard output or error, else 80

// One line on stderr that each call draws over; cut to the terminal's width. Nothing when stderr is no
// terminal.
void draw_progress_line(const std::string& text);
bool fits_progress_line(const std::string& text);  // without being cut
void end_progress_line();                          // moves on to a fresh line if one is drawn

int display_width(std::string_view utf8);  // columns: Han and full-width are 2, combining marks 0
std::string padding(std::string_view utf8, int columns);  // spaces that make it so wide, at least one
std::string progress_bar(double fraction, int columns);

std::string short_number(double value);      // 12.3k, 4.56M
std::string short_duration(double seconds);  // 02:13, 1:02:13
std::string fixed(double value, int digits);

}  // namespace zhgpt::cli
