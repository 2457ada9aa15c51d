// AtomicFile: a file that appears whole and durable under its name, or not at all.
//
// Write protocol: create a unique temporary file `.NAME.tmp-PID-RANDOM` beside the target (O_EXCL |
// O_NOFOLLOW), reserve its size, write, fsync, close, rename, fsync the directory. Whatever fails before the
// rename leaves an older file of that name untouched and no temporary behind. Used for every file that
// matters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace zhgpt {

class AtomicFile {
 public:
  enum class Existing { refuse, replace };

  // expected_bytes > 0 checks the free space and reserves it at once. mode: of the new file, less what the umask
  // takes. Throws IoError (path, system error, next step).
  AtomicFile(std::string path, Existing existing, std::int64_t expected_bytes = 0, unsigned mode = 0666);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();  // without commit: removes the temporary file

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  // Overwrites what was written at `offset`. REQUIRES: it was.
  void patch(std::int64_t offset, std::span<const std::byte> bytes);
  std::int64_t written() const { return written_; }
  const std::string& path() const { return path_; }
  // After this returns the file is durable. Throws IoError otherwise; an fsync that failed is never tried
  // again.
  void commit();

 private:
  void reserve();
  void publish();
  void discard() noexcept;
  [[noreturn]] void fail(const char* operation, int error);  // discards, then throws
  std::string path_, temporary_;
  Existing existing_;
  std::int64_t expected_bytes_;
  int fd_ = -1;
  std::int64_t written_ = 0;
};

// The whole of a small text file, written atomically.
void write_text_file(const std::string& path, std::string_view text);
// The whole of a text file. Throws IoError when it cannot be read or is larger than max_bytes.
std::string read_text_file(const std::string& path, std::int64_t max_bytes = 16 << 20);

// One writer a directory: flock on DIR/run.lock, released when the process ends, however it ends; the file
// goes with it. Throws BusyError naming the process that holds it. Removes temporary files that a killed
// process left.
class DirectoryLock {
 public:
  explicit DirectoryLock(const std::string& directory);
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;
  ~DirectoryLock();

 private:
  std::string path_;
  int fd_ = -1;
};

// Creates the directory and its parents, then proves with a small file that saving will work there:
// create, write, fsync, rename, fsync directory, remove. Throws IoError before any work is lost.
void prepare_directory(const std::string& directory);

}  // namespace zhgpt
