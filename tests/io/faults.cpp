// The linker takes these definitions before the C library's, so that src/io calls them.
#include "io/faults.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace zhgpt::test {
namespace {

bool is_active = false, has_happened = false;
int seen = 0;
Fault current;
std::vector<std::string> recorded;

// Whether this call is to fail; errno is set then.
bool fails(const char* call, const std::string& record) {
  if (!is_active) return false;
  recorded.push_back(record);
  if (current.call != call) return false;
  ++seen;
  if (seen != current.at && !(current.for_ever && seen > current.at)) return false;
  has_happened = true;
  errno = current.error;
  return true;
}

}  // namespace

FaultScope::FaultScope(Fault fault) {
  current = fault;
  seen = 0;
  has_happened = false;
  recorded.clear();
  is_active = true;
}
FaultScope::~FaultScope() { is_active = false; }
bool FaultScope::happened() const { return has_happened; }
std::vector<std::string> FaultScope::calls() const { return recorded; }

}  // namespace zhgpt::test

using zhgpt::test::fails;

extern "C" {

ssize_t write(int fd, const void* bytes, std::size_t count) {
  if (fails("write", "write")) {
    if (errno != 0) return -1;
    count = (count + 1) / 2;
  }
  return ::syscall(SYS_write, fd, bytes, count);
}

int fsync(int fd) {
  struct stat info {};
  const bool is_directory = ::fstat(fd, &info) == 0 && S_ISDIR(info.st_mode);
  if (fails("fsync", is_directory ? "fsync directory" : "fsync file")) return -1;
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

// Like the real one, a close that reports an error has closed.
int close(int fd) {
  const auto result = static_cast<int>(::syscall(SYS_close, fd));
  return fails("close", "close") ? -1 : result;
}

int rename(const char* from, const char* to) noexcept {
  return fails("rename", "rename") ? -1 : static_cast<int>(::syscall(SYS_rename, from, to));
}

int renameat2(int from_fd, const char* from, int to_fd, const char* to, unsigned flags) noexcept {
  return fails("renameat2", "rename") ? -1 : static_cast<int>(::syscall(SYS_renameat2, from_fd, from, to_fd, to, flags));
}

int fallocate(int fd, int mode, off_t offset, off_t size) {
  return fails("fallocate", "fallocate") ? -1 : static_cast<int>(::syscall(SYS_fallocate, fd, mode, offset, size));
}

}  // extern "C"
