// ScratchFile: working room on disk that nobody else can see and that vanishes with the process.
//
// Created with a `.tmp-` name and unlinked at once. Appended to through a buffer, then read back forwards
// through a window, so that memory stays the same however much is stored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace zhgpt {

class ScratchFile {
 public:
  explicit ScratchFile(const std::string& directory);  // throws IoError
  ScratchFile(ScratchFile&& other) noexcept;
  ScratchFile& operator=(ScratchFile&&) = delete;
  ~ScratchFile();

  void append(std::span<const std::byte> bytes);  // throws IoError, disk full among others
  std::int64_t bytes() const { return written_ + static_cast<std::int64_t>(pending_.size()); }
  // As many of the bytes from `offset` on as there are, up to to.size().
  std::size_t read(std::int64_t offset, std::span<std::byte> to);
  // All that is there now, in place; it outlives this object. nullptr when nothing is. Nobody else can
  // shorten the file, which would kill the process that reads it so.
  std::shared_ptr<const std::byte> map();

 private:
  void flush();
  std::string directory_;
  int fd_ = -1;
  std::int64_t written_ = 0;
  std::vector<std::byte> pending_;
};

// An array of T in a scratch file.
template <class T>
class ScratchArray {
 public:
  explicit ScratchArray(const std::string& directory) : file_(directory) {}

  void append(std::span<const T> values) { file_.append(std::as_bytes(values)); }
  std::int64_t size() const { return file_.bytes() / static_cast<std::int64_t>(sizeof(T)); }

  // Calls use(span) for the values [begin, end) in order, in as many pieces as it takes. Quick when each call
  // begins at or after where the last one did.
  template <class Use>
  void read(std::int64_t begin, std::int64_t end, Use use) {
    while (begin < end) {
      if (begin < window_begin_ || begin >= window_begin_ + static_cast<std::int64_t>(window_.size()))
        load(begin);
      const auto window_end = window_begin_ + static_cast<std::int64_t>(window_.size());
      const auto n = static_cast<std::size_t>((end < window_end ? end : window_end) - begin);
      use(std::span<const T>(window_).subspan(static_cast<std::size_t>(begin - window_begin_), n));
      begin += static_cast<std::int64_t>(n);
    }
  }

 private:
  static constexpr std::size_t kWindowBytes = 1 << 18;

  void load(std::int64_t begin) {
    window_.resize(kWindowBytes / sizeof(T));
    const std::size_t got =
        file_.read(begin * static_cast<std::int64_t>(sizeof(T)), std::as_writable_bytes(std::span(window_)));
    window_.resize(got / sizeof(T));
    window_begin_ = begin;
  }

  ScratchFile file_;
  std::vector<T> window_;
  std::int64_t window_begin_ = 0;
};

}  // namespace zhgpt
