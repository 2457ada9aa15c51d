#include "io/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {

ByteSource::ByteSource(std::string path, FileDescriptor fd, std::span<const std::byte> memory,
                       std::int64_t size)
    : path_(std::move(path)), fd_(std::move(fd)), memory_(memory), size_(size) {}

std::shared_ptr<const ByteSource> ByteSource::open(const std::string& path) {
  // O_NOFOLLOW: a link must not lead a reader elsewhere. O_NONBLOCK: opening a pipe must not wait for a writer.
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat info {};
  if (!fd.is_open()) {
    const int error = errno;
    const bool is_file = ::lstat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode);
    if (is_file) throw_io_error(path, "open", error);
  } else if (::fstat(fd.get(), &info) != 0) {
    throw_io_error(path, "fstat", errno);
  }
  if (!S_ISREG(info.st_mode))
    throw CheckpointError(tr(Msg::io_not_regular, path, file_kind_text(info.st_mode)));
  return std::shared_ptr<const ByteSource>(new ByteSource(path, std::move(fd), {}, info.st_size));
}

std::shared_ptr<const ByteSource> ByteSource::of_memory(std::span<const std::byte> bytes, std::string name) {
  return std::shared_ptr<const ByteSource>(
      new ByteSource(std::move(name), FileDescriptor(-1), bytes, static_cast<std::int64_t>(bytes.size())));
}

void ByteSource::read(std::int64_t offset, std::span<std::byte> to) const {
  std::size_t got = 0;
  if (fd_.is_open()) {
    got = read_at(fd_.get(), path_, offset, to);
  } else if (offset <= size_) {
    const auto rest = memory_.subspan(static_cast<std::size_t>(offset));
    got = std::min(rest.size(), to.size());
    std::copy_n(rest.begin(), got, to.begin());
  }
  if (got != to.size()) {
    refuse(offset + static_cast<std::int64_t>(got), tr(Msg::ck_changed), std::to_string(got),
           std::to_string(to.size()));
  }
}

std::string ByteSource::head(std::int64_t count) const {
  std::string text(static_cast<std::size_t>(std::min(count, size_)), '\0');
  read(0, std::as_writable_bytes(std::span(text)));
  return text;
}

void ByteSource::refuse(std::int64_t offset, const std::string& what, const std::string& found,
                        const std::string& expected) const {
  throw CheckpointError(tr(Msg::ck_refused, path_, offset, what, found, expected));
}

}  // namespace zhgpt
