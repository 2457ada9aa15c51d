// The few system calls that src/io shares: an owned descriptor, bounded retries, and errors as IoError.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zhgpt {

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&&) = delete;
  ~FileDescriptor();
  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// Repeats a call that a signal interrupted. Bounded: a file system that always answers EINTR must not hang a
// save.
template <class Call>
auto retry_interrupted(Call call) {
  constexpr int kAttempts = 64;
  for (int attempt = 1;; ++attempt) {
    const auto result = call();
    if (result >= 0 || errno != EINTR || attempt == kAttempts) return result;
  }
}

// Throws the IoError whose text fits `error` (an errno): what happened to which path and what to do.
// `needed_bytes` is named when the disk is full or the file too large.
[[noreturn]] void throw_io_error(const std::string& path, const char* operation, int error,
                                 std::int64_t needed_bytes = 0);

std::string error_text(int error);
// "a symbolic link" and so on, for a path that is not a regular file.
std::string file_kind_text(unsigned mode);

std::string directory_of(const std::string& path);  // "." when the path names no directory
// `.NAME.tmp-PID-RANDOM` beside the path; DirectoryLock recognises what a killed process left by this
// pattern.
std::string temporary_name(const std::string& path);
// The process that gave a file this name (without its directory) as a temporary one; 0 for any other name.
std::int64_t owner_of_temporary(std::string_view name);

// Reads to.size() bytes at `offset`, or fewer at the end of the file. Throws IoError.
std::size_t read_at(int fd, const std::string& path, std::int64_t offset, std::span<std::byte> to);

// The names in a directory but . and .., in no order. Throws IoError. std::filesystem's iterator ends the
// program when memory runs out inside it.
std::vector<std::string> names_in(const std::string& directory);

// Makes the names in a directory durable. Returns 0 or an errno.
int sync_directory(const std::string& directory);

}  // namespace zhgpt
