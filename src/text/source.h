// Sources: the files that a corpus consists of, in a fixed order, and their bytes.
//
// Only regular files and standard input ("-", copied to a scratch file first, so that it can be read twice
// like a file). Bytes are read into fixed buffers; nothing is mapped, because a file that shrinks while
// mapped kills the process.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/hasher.h"
#include "text/scratch.h"

namespace zhgpt {

enum class SourceKind { text, jsonl };

struct Source {
  std::string name;  // as the user will recognise it
  SourceKind kind = SourceKind::text;
  std::int64_t bytes = 0;
  std::shared_ptr<ScratchFile> spooled;  // standard input's bytes
};

// What makes a source the same as another: not its name or time, only its bytes and how they are read.
struct SourceIdentity {
  std::string name;
  SourceKind kind = SourceKind::text;
  std::int64_t bytes = 0;
  std::uint64_t hash = 0;  // XXH3 of the bytes

  bool same_content(const SourceIdentity& other) const {
    return kind == other.kind && bytes == other.bytes && hash == other.hash;
  }
};

struct SourceList {
  std::vector<Source> sources;
  std::vector<std::string> notes;  // what was left out, for the user
};

// Called with the number of bytes just read.
using BytesReadFunction = std::function<void(std::int64_t bytes)>;

// Files as given; directories as the .txt and .jsonl files in them, at any depth, in natural order, without
// hidden ones. Empty files and a file that was already listed are left out with a note. Throws DataError when
// something can not be used, or when nothing is left.
// `on_read` also hears, a few times a second, that standard input is being waited for: what it throws ends the wait.
SourceList list_sources(const std::vector<std::string>& paths, const std::string& scratch_directory,
                        const BytesReadFunction& on_read = {});

// The DataError for a path of the corpus that the system refused with `error`, an errno.
[[noreturn]] void throw_cannot_open(const std::string& path, int error);

// Natural order: runs of digits by value (p2 before p10), all else by bytes; equal ones by bytes. Never the
// locale.
bool natural_less(std::string_view a, std::string_view b);

// Reads a source from its beginning to its end, hashing on the way.
class SourceReader {
 public:
  explicit SourceReader(const Source& source);  // throws DataError
  SourceReader(const SourceReader&) = delete;
  SourceReader& operator=(const SourceReader&) = delete;
  ~SourceReader();

  // Up to `n` more bytes appended to `buffer`; how many, 0 at the end. Throws IoError.
  std::size_t append(std::string& buffer, std::size_t n);
  SourceIdentity identity() const;  // of what was read

 private:
  const Source& source_;
  int fd_ = -1;
  std::int64_t offset_ = 0;
  Hasher hash_;
};

SourceIdentity identify(const Source& source, const BytesReadFunction& on_read);

inline constexpr std::size_t kChunkBytes = 1 << 18;

}  // namespace zhgpt
