#include "cli/process.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

#include <gtest/gtest.h>

namespace zhgpt::test {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr auto kDeadline = std::chrono::seconds(60);  // far beyond what any test needs, even under sanitizers
constexpr auto kPoll = std::chrono::milliseconds(1);

int memory_file(const std::string& text = "") {
  const int fd = ::memfd_create("stream", MFD_CLOEXEC);
  if (fd < 0 || ::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    throw std::runtime_error("memfd_create");
  }
  ::lseek(fd, 0, SEEK_SET);
  return fd;
}

// Its offset is the program's too, and stays where it is.
std::string take_memory_file(int fd) {
  struct stat about {};
  if (::fstat(fd, &about) != 0) throw std::runtime_error("fstat");
  std::string text(static_cast<std::size_t>(about.st_size), '\0');
  const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
  text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return text;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& s : strings) out.push_back(s.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

Process::Process(const Invocation& invocation) {
  std::vector<std::string> arguments = {invocation.program};
  arguments.insert(arguments.end(), invocation.arguments.begin(), invocation.arguments.end());
  std::map<std::string, std::string> variables = {
      {"LC_ALL", "C.UTF-8"}, {"PATH", "/usr/bin:/bin"}, {"CUDA_VISIBLE_DEVICES", ""}};
  for (const auto& [name, value] : invocation.environment) variables[name] = value;
  std::vector<std::string> environment;
  for (const auto& [name, value] : variables) environment.push_back(name + "=" + value);
  const std::vector<char*> argv = pointers(arguments), envp = pointers(environment);

  int in = -1;
  if (invocation.stdin_is_open_pipe) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    in = ends[0];
    pipe_ = ends[1];
  } else {
    in = memory_file(invocation.stdin_text);
  }
  out_ = memory_file();
  err_ = memory_file();
  int child_out = out_;
  if (invocation.stdout_is_closed_pipe) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    ::close(ends[0]);
    child_out = ends[1];
  }
  int child_err = err_;
  if (invocation.terminal_columns > 0) {
    const winsize size{24, static_cast<unsigned short>(invocation.terminal_columns), 0, 0};
    if (::openpty(&terminal_, &child_err, nullptr, nullptr, &size) != 0) throw std::runtime_error("openpty");
    ::fcntl(terminal_, F_SETFD, FD_CLOEXEC);
    ::fcntl(terminal_, F_SETFL, O_NONBLOCK);
  }
  pid_ = ::fork();
  if (pid_ == 0) {
    ::dup2(in, 0);
    ::dup2(child_out, 1);
    ::dup2(child_err, 2);
    if (child_err != err_) ::close(child_err);
    if (::chdir(invocation.directory.c_str()) == 0) ::execve(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  ::close(in);
  if (child_out != out_) ::close(child_out);
  if (child_err != err_) ::close(child_err);
  if (pid_ < 0) throw std::runtime_error("fork");
}

Process::~Process() {
  if (!ended_) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, &status_, 0);
  }
  for (const int fd : {out_, err_, pipe_, terminal_}) {
    if (fd >= 0) ::close(fd);
  }
}

void Process::send(int signal) const {
  ::kill(pid_, signal);
}

void Process::read_terminal() {
  char bytes[4096];
  for (ssize_t n; terminal_ >= 0 && (n = ::read(terminal_, bytes, sizeof bytes)) > 0;)
    on_terminal_.append(bytes, static_cast<std::size_t>(n));
}

bool Process::has_ended() {
  read_terminal();
  if (!ended_ && ::waitpid(pid_, &status_, WNOHANG) == pid_) ended_ = true;
  return ended_;
}

bool Process::wait_until(const std::function<bool()>& condition) {
  const auto deadline = Clock::now() + kDeadline;
  while (!condition()) {
    if (has_ended() || Clock::now() > deadline) return false;
    std::this_thread::sleep_for(kPoll);
  }
  return true;
}

bool Process::wait_for_file(const fs::path& path) {
  return wait_until([&] { return fs::exists(path); });
}

std::string Process::out() const {
  return take_memory_file(out_);
}

ProcessResult Process::wait() {
  const auto deadline = Clock::now() + kDeadline;
  while (!has_ended()) {
    if (Clock::now() > deadline) {
      ADD_FAILURE() << "the program hangs";
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, &status_, 0);
      ended_ = true;
      break;
    }
    std::this_thread::sleep_for(kPoll);
  }
  ProcessResult result;
  if (WIFEXITED(status_)) result.exit_code = WEXITSTATUS(status_);
  if (WIFSIGNALED(status_)) result.signal = WTERMSIG(status_);
  result.out = take_memory_file(out_);
  read_terminal();
  result.err = terminal_ < 0 ? take_memory_file(err_) : on_terminal_;
  return result;
}

ProcessResult run_program(const Invocation& invocation) {
  return Process(invocation).wait();
}

TempDirectory::TempDirectory() {
  std::string name = (fs::temp_directory_path() / "zhgpt-cli-XXXXXX").string();
  if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp");
  path_ = name;
}

TempDirectory::~TempDirectory() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

std::map<std::string, std::string> contents(const fs::path& directory) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    const std::string name = fs::relative(entry.path(), directory).string();
    out[name] = entry.is_regular_file() ? read_file(entry.path()) : "";
  }
  return out;
}

std::string sample_corpus() {
  return fs::path(ZHGPT_TESTS_DIR).parent_path() / "data" / "sample_zh.txt";
}

}  // namespace zhgpt::test
