// The write protocol of include/zhgpt/atomic_file.h, in system calls.
//
// Why each step: without fsync of the file a power failure leaves an empty file under the final name on ext4, xfs and
// btrfs; without fsync of the directory the name itself can be lost; after a failed fsync the kernel may have dropped
// the dirty pages and marked them clean, so a second fsync would lie (A. Rebello et al., "Can applications recover
// from fsync failures?", ATC'20).
#include "zhgpt/atomic_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "io/posix_file.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {

AtomicFile::AtomicFile(std::string path, Existing existing, std::int64_t expected_bytes, unsigned mode)
    : path_(std::move(path)), temporary_(temporary_name(path_)), existing_(existing), expected_bytes_(expected_bytes) {
  // What is known to fail at the end fails now, before anything is computed and written.
  struct stat found {};
  if (::lstat(path_.c_str(), &found) == 0) {
    if (S_ISDIR(found.st_mode)) throw_io_error(path_, "open", EISDIR);
    if (existing_ == Existing::refuse) throw_io_error(path_, "open", EEXIST);
  }
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  if (fd_ < 0) throw_io_error(path_, "open", errno);
  if (expected_bytes_ > 0) reserve();
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::reserve() {
  struct statvfs disk {};
  if (::fstatvfs(fd_, &disk) == 0 && disk.f_blocks > 0 &&
      disk.f_bavail < static_cast<std::uint64_t>(expected_bytes_) / disk.f_frsize) {
    fail("statvfs", ENOSPC);
  }
  // Only blocks are reserved, the size stays what was written. Not every file system can: then write() finds out.
  const int result = retry_interrupted([&] { return ::fallocate(fd_, FALLOC_FL_KEEP_SIZE, 0, expected_bytes_); });
  if (result != 0 && errno != EOPNOTSUPP && errno != ENOSYS) fail("fallocate", errno);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = retry_interrupted([&] { return ::write(fd_, bytes.data(), bytes.size()); });
    if (count <= 0) fail("write", count < 0 ? errno : EIO);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    written_ += count;
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::patch(std::int64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = retry_interrupted([&] { return ::pwrite(fd_, bytes.data(), bytes.size(), offset); });
    if (count <= 0) fail("pwrite", count < 0 ? errno : EIO);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += count;
  }
}

void AtomicFile::commit() {
  if (::fsync(fd_) != 0) {
    const int error = errno;
    discard();
    throw IoError(tr(Msg::io_not_confirmed, path_, error_text(error)));
  }
  if (::close(std::exchange(fd_, -1)) != 0) fail("close", errno);
  publish();
  temporary_.clear();
  if (const int error = sync_directory(directory_of(path_))) {
    throw IoError(tr(Msg::io_directory_not_confirmed, path_, error_text(error)));
  }
}

void AtomicFile::publish() {
  if (existing_ == Existing::refuse) {
    if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE) == 0) return;
    if (errno != EINVAL && errno != ENOSYS) fail("rename", errno);
    // A file system without RENAME_NOREPLACE: look first. The directory's lock keeps other writers out meanwhile.
    struct stat found {};
    if (::lstat(path_.c_str(), &found) == 0) fail("rename", EEXIST);
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("rename", errno);
}

void AtomicFile::discard() noexcept {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

void AtomicFile::fail(const char* operation, int error) {
  discard();
  throw_io_error(path_, operation, error, std::max(expected_bytes_, written_ + 1));
}

void write_text_file(const std::string& path, std::string_view text) {
  AtomicFile file(path, AtomicFile::Existing::replace, static_cast<std::int64_t>(text.size()));
  file.write(text);
  file.commit();
}

std::string read_text_file(const std::string& path, std::int64_t max_bytes) {
  // O_NONBLOCK: opening a pipe that nobody writes to must not wait.
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (!fd.is_open() || ::fstat(fd.get(), &info) != 0) throw_io_error(path, "open", errno);
  if (!S_ISREG(info.st_mode)) throw IoError(tr(Msg::io_not_regular, path, file_kind_text(info.st_mode)));
  if (info.st_size > max_bytes) throw IoError(tr(Msg::io_text_too_large, path, max_bytes));
  std::string text(static_cast<std::size_t>(info.st_size), '\0');
  text.resize(read_at(fd.get(), path, 0, std::as_writable_bytes(std::span(text))));
  return text;
}

void prepare_directory(const std::string& directory) {
  for (std::size_t end = 0; end != std::string::npos;) {
    end = directory.find('/', end + 1);
    const std::string part = directory.substr(0, end);
    if (::mkdir(part.c_str(), 0777) == 0) {
      // A new directory is a name in its parent, which a power failure can lose with all that is in it.
      if (const int error = sync_directory(directory_of(part))) throw_io_error(part, "fsync", error);
    } else if (errno != EEXIST && errno != EISDIR) {
      throw_io_error(part, "mkdir", errno);
    }
  }
  const std::string probe = directory + "/.zhgpt-probe";
  write_text_file(probe, std::string(4096, '\n'));
  if (::unlink(probe.c_str()) != 0 && errno != ENOENT) throw_io_error(probe, "unlink", errno);
}

}  // namespace zhgpt
