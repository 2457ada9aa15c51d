// BinaryFile: an open .bin checkpoint whose header, trailer and manifest are proven.
//
// `open` establishes, using only what is already proven (rules R1-R10 of checkpoints/FORMAT.md): the file is
// little-endian, of a version and with features this program knows; every section's kind, type, shape, name,
// place and hashes are consistent and inside the file, in order, without gaps. It reads no section's contents.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/byte_source.h"
#include "zhgpt/checkpoint.h"
#include "zhgpt/messages.h"

namespace zhgpt {

struct SectionRecord {
  TensorInfo info;
  bool is_skipped = false;  // an optional section of a kind that this program does not know
  std::uint32_t index = 0;
  std::int64_t offset = 0, bytes = 0;
  std::uint64_t hash = 0;
  std::vector<std::uint64_t> chunk_hashes;
};

class BinaryFile {
 public:
  explicit BinaryFile(std::shared_ptr<const ByteSource> source);
  // The header, verified no further than its own hash; throws Error when that fails.
  static CheckpointHeader header_of(std::shared_ptr<const ByteSource> source);

  const CheckpointHeader& header() const { return header_; }
  const std::vector<SectionRecord>& sections() const { return sections_; }
  std::int64_t manifest_offset() const { return manifest_offset_; }

 private:
  BinaryFile() = default;
  void read_header();
  void read_trailer();
  void read_manifest();
  SectionRecord read_record(class ByteReader& in, std::uint32_t index, std::int64_t expected_offset) const;
  [[noreturn]] void refuse(std::int64_t offset, const std::string& what, const std::string& found,
                           const std::string& expected) const {
    source_->refuse(offset, what, found, expected);
  }

  std::shared_ptr<const ByteSource> source_;
  CheckpointHeader header_;
  std::int64_t manifest_offset_ = 0, manifest_bytes_ = 0;
  std::uint64_t manifest_hash_ = 0;
  std::vector<SectionRecord> sections_;
};

}  // namespace zhgpt
