// CheckpointFile: an open checkpoint whose header, trailer and manifest are proven.
//
// `open` establishes, using only what is already proven (rules R1-R10 of checkpoints/FORMAT.md): the file is regular
// and little-endian, of a version and with features this program knows; every section's kind, type, shape, name,
// place and hashes are consistent and inside the file, in order, without gaps. It reads no section's contents.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/posix_file.h"
#include "zhgpt/checkpoint.h"
#include "zhgpt/messages.h"

namespace zhgpt {

// Whether a stored hash and a computed one differ. A fuzz target is built without this test, to get behind it.
inline bool hashes_differ([[maybe_unused]] std::uint64_t stored, [[maybe_unused]] std::uint64_t computed) {
#ifdef ZHGPT_FUZZ_IGNORE_HASHES
  return false;
#else
  return stored != computed;
#endif
}

struct SectionRecord {
  TensorInfo info;
  bool is_skipped = false;  // an optional section of a kind that this program does not know
  std::uint32_t index = 0;
  std::int64_t offset = 0, bytes = 0;
  std::uint64_t hash = 0;
  std::vector<std::uint64_t> chunk_hashes;
};

class CheckpointFile {
 public:
  static std::shared_ptr<const CheckpointFile> open(const std::string& path);
  // The header, verified no further than its own hash; nullopt when that fails.
  static std::optional<CheckpointHeader> peek(const std::string& path);

  const std::string& path() const { return path_; }
  std::int64_t bytes() const { return bytes_; }
  const CheckpointHeader& header() const { return header_; }
  const std::vector<SectionRecord>& sections() const { return sections_; }
  std::int64_t manifest_offset() const { return manifest_offset_; }

  // Fills `to` from `offset` on; a file that has become shorter is refused.
  void read(std::int64_t offset, std::span<std::byte> to) const;
  [[noreturn]] void refuse(std::int64_t offset, const std::string& what, const std::string& found,
                           const std::string& expected) const;

 private:
  CheckpointFile(std::string path, FileDescriptor fd, std::int64_t bytes);
  static CheckpointFile open_regular(const std::string& path);
  void read_header();
  void read_trailer();
  void read_manifest();
  SectionRecord read_record(class ByteReader& in, std::uint32_t index, std::int64_t expected_offset) const;

  std::string path_;
  FileDescriptor fd_;
  std::int64_t bytes_ = 0;
  CheckpointHeader header_;
  std::int64_t manifest_offset_ = 0, manifest_bytes_ = 0;
  std::uint64_t manifest_hash_ = 0;
  std::vector<SectionRecord> sections_;
};

}  // namespace zhgpt
