// DirectoryLock: flock on DIR/run.lock. The lock belongs to the open file, so the kernel releases it when the
// process ends, also by kill -9; only then the file stays, and stands in nobody's way.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string_view>
#include <vector>

#include "io/posix_file.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

void remove_temporaries(const std::string& directory) {
  for (const std::string& name : names_in(directory)) {
    // One that can not be removed does no harm: names are never used twice.
    if (owner_of_temporary(name) > 0) ::unlink((directory + "/" + name).c_str());
  }
}

[[noreturn]] void throw_busy(const std::string& directory, int fd, const std::string& lock_path) {
  std::string holder(512, '\0');
  holder.resize(read_at(fd, lock_path, 0, std::as_writable_bytes(std::span(holder))));
  const std::size_t space = holder.find(' '), end = holder.find('\n');
  // The holder may be between taking the lock and writing its name.
  if (space == std::string::npos || end == std::string::npos || end < space) {
    throw BusyError(tr(Msg::directory_busy_unknown, directory));
  }
  throw BusyError(
      tr(Msg::directory_busy, directory, holder.substr(0, space), holder.substr(space + 1, end - space - 1)));
}

bool is_named(int fd, const std::string& path) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(fd, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

FileDescriptor lock_file(const std::string& directory, const std::string& path) {
  while (true) {
    FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666));
    if (!fd.is_open()) throw_io_error(path, "open", errno);
    if (retry_interrupted([&] { return ::flock(fd.get(), LOCK_EX | LOCK_NB); }) != 0) {
      if (errno == EWOULDBLOCK) throw_busy(directory, fd.get(), path);
      throw_io_error(path, "flock", errno);
    }
    // A file that its owner removed between these two calls is locked, but keeps nobody out: the next one
    // opens another.
    if (is_named(fd.get(), path)) return fd;
  }
}

}  // namespace

DirectoryLock::DirectoryLock(const std::string& directory) : path_(directory + "/run.lock") {
  FileDescriptor fd = lock_file(directory, path_);
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  const std::string holder = std::to_string(::getpid()) + " " + host + "\n";
  // The text only helps a message; the lock holds without it, even on a full disk.
  [[maybe_unused]] const bool is_told =
      ::ftruncate(fd.get(), 0) == 0 && ::pwrite(fd.get(), holder.data(), holder.size(), 0) >= 0;
  remove_temporaries(directory);
  fd_ = fd.release();
}

DirectoryLock::~DirectoryLock() {
  if (is_named(fd_, path_)) ::unlink(path_.c_str());  // while it is still locked
  ::close(fd_);
}

}  // namespace zhgpt
