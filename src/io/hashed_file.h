// A file that names its own hash: XXH3-64 of all its bytes, with a placeholder of the same width where the
// hash stands. So a format that has no room for hashes of its own is covered to the last bit, in one pass.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "io/byte_source.h"
#include "io/hash.h"
#include "zhgpt/atomic_file.h"

namespace zhgpt {

class HashedFile {
 public:
  // least_bytes: what the file will have at least; so much is reserved.
  HashedFile(const std::string& path, bool overwrite, std::int64_t least_bytes);

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  void write_placeholder(std::string_view placeholder);  // once
  std::uint64_t hash();
  void commit(std::string_view hash_text);  // as wide as the placeholder

 private:
  void flush();
  AtomicFile file_;
  Hasher hasher_;
  std::string buffer_;  // small pieces become large ones
  std::int64_t place_ = 0;
};

// The hash of a file written like this whose placeholder stood at `place`. REQUIRES: it lies inside.
std::uint64_t hash_of_file(const ByteSource& source, std::int64_t place, std::string_view placeholder);

}  // namespace zhgpt
