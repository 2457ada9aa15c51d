#include "text/source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {

void throw_cannot_open(const std::string& path, int error) {
  switch (error) {
    case ENOENT:
      throw DataError(tr(Msg::io_not_found, path));
    case EACCES:
      throw DataError(tr(Msg::io_no_permission, path, "open"));
    default:
      throw DataError(tr(Msg::corpus_cannot_open, path, std::strerror(error)));
  }
}

SourceReader::SourceReader(const Source& source) : source_(source) {
  if (source.spooled) return;
  // O_NONBLOCK: opening a FIFO that took the file's place must not wait for a writer.
  fd_ = open(source.name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) throw_cannot_open(source.name, errno);
  struct stat info {};
  if (fstat(fd_, &info) == 0 && S_ISREG(info.st_mode)) return;
  close(fd_);
  throw DataError(tr(Msg::corpus_not_regular, source.name));
}

SourceReader::~SourceReader() {
  if (fd_ >= 0) close(fd_);
}

std::size_t SourceReader::append(std::string& buffer, std::size_t n) {
  const std::size_t before = buffer.size();
  buffer.resize(before + n);
  std::size_t got = 0;
  if (source_.spooled) {
    got = source_.spooled->read(offset_, std::as_writable_bytes(std::span(buffer).subspan(before)));
  } else {
    ssize_t result = -1;
    do result = pread(fd_, buffer.data() + before, n, offset_);
    while (result < 0 && errno == EINTR);
    if (result < 0) throw IoError(tr(Msg::corpus_read_failed, source_.name, offset_, std::strerror(errno)));
    got = static_cast<std::size_t>(result);
  }
  buffer.resize(before + got);
  hash_.update(std::as_bytes(std::span(buffer).subspan(before)));
  offset_ += static_cast<std::int64_t>(got);
  return got;
}

SourceIdentity SourceReader::identity() const {
  return {source_.name, source_.kind, offset_, hash_.digest()};
}

SourceIdentity identify(const Source& source, const BytesReadFunction& on_read) {
  SourceReader reader(source);
  std::string buffer;
  while (const std::size_t n = reader.append(buffer, kChunkBytes)) {
    on_read(static_cast<std::int64_t>(n));
    buffer.clear();
  }
  return reader.identity();
}

}  // namespace zhgpt
