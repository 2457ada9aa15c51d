#include "torture/system_calls.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>

namespace zhgpt::test {
namespace {

std::atomic<CallWatcher*> watcher = nullptr;
std::mutex one_at_a_time;
thread_local bool is_watching = false;  // calls of the watcher itself are not seen

std::string path_of(int fd) {
  char path[4096];
  const ssize_t length = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path);
  return length > 0 ? std::string(path, static_cast<std::size_t>(length)) : "";
}

SystemCall on_descriptor(const char* name, int fd) {
  SystemCall call{.name = name, .path = path_of(fd)};
  struct stat info {};
  if (::syscall(SYS_fstat, fd, &info) == 0) {
    call.inode = info.st_ino;
    call.is_directory = S_ISDIR(info.st_mode);
  }
  return call;
}

// Asks the watcher, calls `real(limit)`, tells the watcher. `describe` is called only when somebody watches.
template <class Describe, class Real>
auto watched(Describe describe, Real real) -> decltype(real(std::size_t{})) {
  CallWatcher* const active = watcher;
  if (!active || is_watching) return real(SIZE_MAX);
  const std::lock_guard lock(one_at_a_time);
  is_watching = true;
  const SystemCall call = describe();
  std::size_t limit = SIZE_MAX;
  decltype(real(limit)) result = -1;
  int error = active->before(call, limit);
  if (error == 0) {
    result = real(limit);
    error = errno;
    active->after(call, result);
  } else if (call.name == "close") {
    real(limit);  // like the real one, a close that reports an error has closed
  }
  is_watching = false;
  errno = error;
  return result;
}

}  // namespace

WatchScope::WatchScope(CallWatcher& active) {
  watcher = &active;
}
WatchScope::~WatchScope() {
  watcher = nullptr;
}

}  // namespace zhgpt::test

using zhgpt::test::on_descriptor;
using zhgpt::test::SystemCall;
using zhgpt::test::watched;

namespace {

int call_int(long result) {
  return static_cast<int>(result);
}

template <class Real>
int on_path(const char* name, const char* path, Real real) {
  return watched([&] { return SystemCall{.name = name, .path = path}; },
                 [&](std::size_t) { return call_int(real()); });
}

template <class Real>
int on_fd(const char* name, int fd, Real real) {
  return watched([&] { return on_descriptor(name, fd); }, [&](std::size_t) { return call_int(real()); });
}

SystemCall describe_write(const char* name, int fd, const void* bytes, std::size_t count, off_t offset) {
  SystemCall call = on_descriptor(name, fd);
  call.offset = offset;
  call.bytes = {static_cast<const std::byte*>(bytes), count};
  return call;
}

SystemCall describe_rename(const char* name, const char* from, const char* to) {
  return {.name = name, .path = from, .to = to};
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const int mode = flags & O_CREAT ? va_arg(arguments, int) : 0;
  va_end(arguments);
  return watched([&] { return SystemCall{.name = "open", .path = path, .flags = flags}; },
                 [&](std::size_t) { return call_int(::syscall(SYS_openat, AT_FDCWD, path, flags, mode)); });
}

ssize_t write(int fd, const void* bytes, std::size_t count) {
  return watched(
      [&] { return describe_write("write", fd, bytes, count, ::lseek(fd, 0, SEEK_CUR)); },
      [&](std::size_t limit) { return ssize_t{::syscall(SYS_write, fd, bytes, std::min(count, limit))}; });
}

ssize_t pwrite(int fd, const void* bytes, std::size_t count, off_t offset) {
  return watched([&] { return describe_write("pwrite", fd, bytes, count, offset); },
                 [&](std::size_t limit) {
                   return ssize_t{::syscall(SYS_pwrite64, fd, bytes, std::min(count, limit), offset)};
                 });
}

ssize_t pread(int fd, void* bytes, std::size_t count, off_t offset) {
  return watched([&] { return on_descriptor("pread", fd); },
                 [&](std::size_t limit) {
                   return ssize_t{::syscall(SYS_pread64, fd, bytes, std::min(count, limit), offset)};
                 });
}

int ftruncate(int fd, off_t size) noexcept {
  return watched(
      [&] {
        SystemCall call = on_descriptor("ftruncate", fd);
        call.offset = size;
        return call;
      },
      [&](std::size_t) { return call_int(::syscall(SYS_ftruncate, fd, size)); });
}

int fallocate(int fd, int mode, off_t offset, off_t size) {
  return on_fd("fallocate", fd, [&] { return ::syscall(SYS_fallocate, fd, mode, offset, size); });
}
int fsync(int fd) {
  return on_fd("fsync", fd, [&] { return ::syscall(SYS_fsync, fd); });
}
int close(int fd) {
  return on_fd("close", fd, [&] { return ::syscall(SYS_close, fd); });
}
int fstat(int fd, struct stat* info) noexcept {
  return on_fd("fstat", fd, [&] { return ::syscall(SYS_fstat, fd, info); });
}
int lstat(const char* path, struct stat* info) noexcept {
  return on_path("lstat", path,
                 [&] { return ::syscall(SYS_newfstatat, AT_FDCWD, path, info, AT_SYMLINK_NOFOLLOW); });
}
int fstatvfs(int fd, struct statvfs* disk) noexcept {
  static const auto real = reinterpret_cast<int (*)(int, struct statvfs*)>(::dlsym(RTLD_NEXT, "fstatvfs"));
  return on_fd("fstatvfs", fd, [&] { return real(fd, disk); });
}
int mkdir(const char* path, mode_t mode) noexcept {
  return on_path("mkdir", path, [&] { return ::syscall(SYS_mkdirat, AT_FDCWD, path, mode); });
}
int unlink(const char* path) noexcept {
  return on_path("unlink", path, [&] { return ::syscall(SYS_unlinkat, AT_FDCWD, path, 0); });
}
int unlinkat(int directory, const char* name, int flags) noexcept {
  return watched(
      [&] { return SystemCall{.name = "unlink", .path = zhgpt::test::path_of(directory) + "/" + name}; },
      [&](std::size_t) { return call_int(::syscall(SYS_unlinkat, directory, name, flags)); });
}
int rename(const char* from, const char* to) noexcept {
  return watched(
      [&] { return describe_rename("rename", from, to); },
      [&](std::size_t) { return call_int(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0)); });
}
int renameat2(int from_fd, const char* from, int to_fd, const char* to, unsigned flags) noexcept {
  return watched(
      [&] { return describe_rename("renameat2", from, to); },
      [&](std::size_t) { return call_int(::syscall(SYS_renameat2, from_fd, from, to_fd, to, flags)); });
}

}  // extern "C"
