#include "io/hashed_file.h"

#include <algorithm>
#include <vector>

namespace zhgpt {

HashedFile::HashedFile(const std::string& path, bool overwrite, std::int64_t least_bytes)
    : file_(path, overwrite ? AtomicFile::Existing::replace : AtomicFile::Existing::refuse, least_bytes) {}

void HashedFile::write(std::span<const std::byte> bytes) {
  constexpr std::size_t kBufferBytes = 1 << 16;
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  if (bytes.size() <= kBufferBytes) {
    buffer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  } else {
    hasher_.add(bytes);
    file_.write(bytes);
  }
}

void HashedFile::flush() {
  hasher_.add(std::as_bytes(std::span(buffer_)));
  file_.write(buffer_);
  buffer_.clear();
}

void HashedFile::write_placeholder(std::string_view placeholder) {
  flush();
  place_ = file_.written();
  write(placeholder);
}

std::uint64_t HashedFile::hash() {
  flush();
  return hasher_.value();
}

void HashedFile::commit(std::string_view hash_text) {
  flush();
  file_.patch(place_, std::as_bytes(std::span(hash_text)));
  file_.commit();
}

std::uint64_t hash_of_file(const ByteSource& source, std::int64_t place, std::string_view placeholder) {
  constexpr std::int64_t kBytes = 1 << 20;
  const std::int64_t end = place + static_cast<std::int64_t>(placeholder.size());
  Hasher hasher;
  std::vector<std::byte> buffer;
  const auto add = [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t at = from; at < to; at += kBytes) {
      buffer.resize(static_cast<std::size_t>(std::min(kBytes, to - at)));
      source.read(at, buffer);
      hasher.add(buffer);
    }
  };
  add(0, place);
  hasher.add(std::as_bytes(std::span(placeholder)));
  add(end, source.size());
  return hasher.value();
}

}  // namespace zhgpt
