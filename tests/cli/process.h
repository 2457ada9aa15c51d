// The built program as its users meet it: arguments, environment, standard streams, signals, exit code.
//
// Streams are files in memory, so nothing blocks on a full pipe; a terminal is emptied while waiting. Every
// wait has a deadline: a program that hangs is killed and reported, it never hangs the tests.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace zhgpt::test {

struct Invocation {
  std::vector<std::string> arguments = {};
  std::map<std::string, std::string> environment =
      {};  // on top of LC_ALL=C.UTF-8, a PATH and no GPU; nothing is inherited
  std::string directory = ".";
  std::string program = ZHGPT_PROGRAM;
  std::string stdin_text = {};
  bool stdin_is_open_pipe = false;  // never a byte and never an end, until the Process is gone
  bool stdout_is_closed_pipe = false;
  int terminal_columns = 0;  // above 0: stderr is a terminal of this width
};

struct ProcessResult {
  int exit_code = -1;  // -1: did not exit by itself
  int signal = 0;      // that ended it
  std::string out, err;
};

class Process {
 public:
  explicit Process(const Invocation& invocation);
  ~Process();  // a process still alive is killed
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void send(int signal) const;
  // Waits until `condition` holds. False when the process ended or the deadline passed before.
  bool wait_until(const std::function<bool()>& condition);
  bool wait_for_file(const std::filesystem::path& path);
  std::string out() const;  // what is on standard output so far
  ProcessResult wait();

 private:
  bool has_ended();
  void read_terminal();

  pid_t pid_ = -1;
  int out_ = -1, err_ = -1, pipe_ = -1, terminal_ = -1;
  std::string on_terminal_;
  bool ended_ = false;
  int status_ = 0;
};

ProcessResult run_program(const Invocation& invocation);

// A new directory, removed with all in it.
class TempDirectory {
 public:
  TempDirectory();
  ~TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

std::string read_file(const std::filesystem::path& path);
void write_file(const std::filesystem::path& path, const std::string& text);
// Everything below a directory: relative name -> content ("" for directories). For "nothing was changed".
std::map<std::string, std::string> contents(const std::filesystem::path& directory);

std::string sample_corpus();  // path of a small Chinese text

}  // namespace zhgpt::test
