#include "io/posix_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <charconv>
#include <memory>
#include <random>
#include <system_error>

#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

std::string error_text(int error) { return std::error_code(error, std::generic_category()).message(); }

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string temporary_name(const std::string& path) {
  std::random_device device;
  std::string random(16, '0');
  for (char& digit : random) digit = "0123456789abcdef"[device() & 15];
  const std::size_t slash = path.rfind('/');
  const std::size_t name = slash == std::string::npos ? 0 : slash + 1;
  return path.substr(0, name) + "." + path.substr(name) + ".tmp-" + std::to_string(::getpid()) + "-" + random;
}

// ".NAME.tmp-PID-RANDOM" with a decimal PID and 16 hexadecimal digits.
std::int64_t owner_of_temporary(std::string_view name) {
  constexpr std::size_t kRandomDigits = 16;
  constexpr std::string_view kMark = ".tmp-";
  const std::size_t mark = name.rfind(kMark);
  if (!name.starts_with('.') || mark == std::string_view::npos || mark < 2) return 0;
  const std::string_view tail = name.substr(mark + kMark.size());
  const std::size_t dash = tail.find('-');
  if (dash == std::string_view::npos || tail.size() != dash + 1 + kRandomDigits) return 0;
  const std::string_view random = tail.substr(dash + 1);
  if (random.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos) return 0;
  std::int64_t pid = 0;
  const auto [end, error] = std::from_chars(tail.data(), tail.data() + dash, pid);
  return error == std::errc() && end == tail.data() + dash && pid > 0 ? pid : 0;
}

std::string file_kind_text(unsigned mode) {
  if (S_ISLNK(mode)) return tr(Msg::io_kind_link);
  if (S_ISDIR(mode)) return tr(Msg::io_kind_directory);
  if (S_ISFIFO(mode)) return tr(Msg::io_kind_pipe);
  return tr(Msg::io_kind_special);
}

void throw_io_error(const std::string& path, const char* operation, int error, std::int64_t needed_bytes) {
  switch (error) {
    case ENOSPC:
    case EDQUOT: {
      struct statvfs disk {};
      const bool known = ::statvfs(directory_of(path).c_str(), &disk) == 0;
      throw IoError(tr(Msg::io_disk_full, path, needed_bytes, known ? std::to_string(disk.f_bavail * disk.f_frsize) : "?"));
    }
    case EACCES:
    case EPERM: throw IoError(tr(Msg::io_no_permission, path, operation));
    case EROFS: throw IoError(tr(Msg::io_read_only, path));
    case ENOENT: throw IoError(tr(Msg::io_not_found, path));
    case ENOTDIR: throw IoError(tr(Msg::io_not_a_directory, path));
    case EISDIR: throw IoError(tr(Msg::io_is_a_directory, path));
    case EEXIST: throw IoError(tr(Msg::io_exists, path));
    case EFBIG: throw IoError(tr(Msg::io_file_too_large, path, needed_bytes));
    default: throw IoError(tr(Msg::io_failed, path, operation, error_text(error)));
  }
}

std::size_t read_at(int fd, const std::string& path, std::int64_t offset, std::span<std::byte> to) {
  std::size_t done = 0;
  while (done < to.size()) {
    const ssize_t got = retry_interrupted([&] {
      return ::pread(fd, to.data() + done, to.size() - done, static_cast<off_t>(offset) + static_cast<off_t>(done));
    });
    if (got < 0) throw_io_error(path, "read", errno);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

std::vector<std::string> names_in(const std::string& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(directory.c_str()), ::closedir);
  if (!entries) throw_io_error(directory, "opendir", errno);
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(entries.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

int sync_directory(const std::string& directory) {
  const FileDescriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.is_open()) return errno;
  // EINVAL: a file system that has no fsync for directories and orders names itself.
  return ::fsync(fd.get()) == 0 || errno == EINVAL ? 0 : errno;
}

}  // namespace zhgpt
