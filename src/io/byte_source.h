// ByteSource: the bytes of a checkpoint, in a file or in memory, and how its faults are reported.
//
// A file is read, never mapped: one that shrinks under a mapping is a signal, not an error.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "io/posix_file.h"

namespace zhgpt {

class ByteSource {
 public:
  // Accepts regular files only, and no symbolic link. Throws CheckpointError or IoError.
  static std::shared_ptr<const ByteSource> open(const std::string& path);
  // `bytes` must outlive the source; `name` stands for the path.
  static std::shared_ptr<const ByteSource> of_memory(std::span<const std::byte> bytes, std::string name);

  const std::string& path() const { return path_; }
  std::int64_t size() const { return size_; }
  std::span<const std::byte> memory() const { return memory_; }  // empty for a file

  // Fills `to` from `offset` on; a file that has become shorter is refused.
  void read(std::int64_t offset, std::span<std::byte> to) const;
  // The first bytes, as many as there are up to `count`.
  std::string head(std::int64_t count) const;

  [[noreturn]] void refuse(std::int64_t offset, const std::string& what, const std::string& found,
                           const std::string& expected) const;

 private:
  ByteSource(std::string path, FileDescriptor fd, std::span<const std::byte> memory, std::int64_t size);

  std::string path_;
  FileDescriptor fd_;
  std::span<const std::byte> memory_;
  std::int64_t size_ = 0;
};

}  // namespace zhgpt
