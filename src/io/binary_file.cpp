#include "io/binary_file.h"

#include <algorithm>
#include <array>
#include <set>

#include "io/coding.h"
#include "io/format.h"
#include "io/hash.h"
#include "io/section.h"
#include "zhgpt/error.h"

namespace zhgpt {
namespace {

bool is_magic(std::span<const std::byte> bytes) {
  return std::ranges::equal(bytes, std::as_bytes(std::span(format::kMagic)));
}

std::string hex_bytes(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte b : bytes) {
    text += (text.empty() ? "" : " ");
    text += "0123456789abcdef"[std::to_integer<unsigned>(b) >> 4];
    text += "0123456789abcdef"[std::to_integer<unsigned>(b) & 15];
  }
  return text;
}

constexpr const char* kMagicText = "89 43 47 50 0d 0a 1a 0a";

}  // namespace

BinaryFile::BinaryFile(std::shared_ptr<const ByteSource> source) : source_(std::move(source)) {
  read_header();
  read_trailer();
  read_manifest();
}

CheckpointHeader BinaryFile::header_of(std::shared_ptr<const ByteSource> source) {
  BinaryFile file;
  file.source_ = std::move(source);
  file.read_header();
  return file.header_;
}

void BinaryFile::read_header() {
  constexpr std::int64_t kLeast = format::kHeaderBytes + format::kTrailerBytes;
  const std::int64_t size = source_->size();
  std::array<std::byte, format::kHeaderBytes> bytes;
  // The magic first: of any other file, its being short is not the point.
  if (size >= 8) {
    source_->read(0, std::span(bytes).first(8));
    if (!is_magic(std::span(bytes).first(8))) refuse(0, tr(Msg::ck_magic), hex_bytes(std::span(bytes).first(8)), kMagicText);
  }
  if (size < kLeast) refuse(size, tr(Msg::ck_too_short), std::to_string(size), ">= " + std::to_string(kLeast));
  source_->read(0, bytes);

  ByteReader in(bytes);
  std::span<const std::byte> magic, run_id, reserved;
  std::uint32_t version = 0, min_reader = 0, incompat = 0, compat = 0, endian = 0;
  std::uint64_t step = 0;
  const bool is_whole = in.get_bytes(8, magic) && in.get(version) && in.get(min_reader) && in.get(incompat) &&
                        in.get(compat) && in.get(step) && in.get_bytes(16, run_id) && in.get(endian) &&
                        in.get_bytes(in.left() - 8, reserved) && in.get(header_.hash);
  if (!is_whole) refuse(0, tr(Msg::ck_too_short), std::to_string(bytes.size()), std::to_string(format::kHeaderBytes));
  if (endian != format::kEndianTag) refuse(48, tr(Msg::ck_endian), hex(endian), hex(format::kEndianTag));
  const std::uint64_t hash = hash_bytes(std::span(bytes).first(format::kHeaderHashAt));
  if (hashes_differ(header_.hash, hash)) refuse(format::kHeaderHashAt, tr(Msg::ck_header_hash), hex(hash), hex(header_.hash));
  if (version == 0 || min_reader == 0 || min_reader > version) {
    refuse(8, tr(Msg::ck_version), std::to_string(version) + ", " + std::to_string(min_reader), "1 <= min_reader <= format");
  }
  if (min_reader > format::kVersion) {
    throw CheckpointError(tr(Msg::ck_future_version, source_->path(), version, min_reader, format::kVersion));
  }
  if (const std::uint32_t unknown = incompat & ~format::kKnownIncompat) {
    throw CheckpointError(tr(Msg::ck_unknown_feature, source_->path(), hex(unknown), hex(format::kKnownIncompat)));
  }
  for (std::size_t i = 0; i < reserved.size(); ++i) {
    if (reserved[i] != std::byte{0}) refuse(52 + static_cast<std::int64_t>(i), tr(Msg::ck_not_zero), hex_bytes(reserved.subspan(i, 1)), "00");
  }
  if (step > INT64_MAX) refuse(24, tr(Msg::ck_step), std::to_string(step), "< 2^63");
  header_.incompat = incompat;
  header_.step = static_cast<std::int64_t>(step);
  std::ranges::transform(run_id, header_.run_id.begin(), [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
}

void BinaryFile::read_trailer() {
  const std::int64_t size = source_->size(), at = size - format::kTrailerBytes;
  std::array<std::byte, format::kTrailerBytes> bytes;
  source_->read(at, bytes);
  ByteReader in(bytes);
  std::span<const std::byte> magic, run_id;
  std::uint64_t file_bytes = 0, manifest_offset = 0, manifest_bytes = 0, header_hash = 0, stored_hash = 0;
  const bool is_whole = in.get_bytes(8, magic) && in.get(file_bytes) && in.get(manifest_offset) && in.get(manifest_bytes) &&
                        in.get(manifest_hash_) && in.get(header_hash) && in.get_bytes(8, run_id) && in.get(stored_hash);
  if (!is_whole || !is_magic(magic)) refuse(at, tr(Msg::ck_trailer_magic), hex_bytes(magic), kMagicText);
  const std::uint64_t hash = hash_bytes(std::span(bytes).first(format::kTrailerHashAt));
  if (hashes_differ(stored_hash, hash)) {
    refuse(at + format::kTrailerHashAt, tr(Msg::ck_trailer_hash), hex(hash), hex(stored_hash));
  }
  if (file_bytes != static_cast<std::uint64_t>(size)) {
    refuse(at + 8, tr(Msg::ck_file_size), std::to_string(size), std::to_string(file_bytes));
  }
  if (hashes_differ(header_hash, header_.hash)) {
    refuse(at + 40, tr(Msg::ck_other_header), hex(header_hash), hex(header_.hash));
  }
  const auto own_run_id = std::as_bytes(std::span(header_.run_id)).first(8);
  if (!std::ranges::equal(run_id, own_run_id)) {
    refuse(at + 48, tr(Msg::ck_other_header), hex_bytes(run_id), hex_bytes(own_run_id));
  }
  // manifest_offset + manifest_bytes == at, without computing a sum that could wrap.
  const auto end = static_cast<std::uint64_t>(at);
  if (manifest_bytes > static_cast<std::uint64_t>(format::kMaxManifestBytes) || manifest_bytes > end ||
      manifest_offset != end - manifest_bytes || manifest_bytes < static_cast<std::uint64_t>(format::kManifestHeadBytes)) {
    refuse(at + 16, tr(Msg::ck_manifest_range), std::to_string(manifest_offset) + " + " + std::to_string(manifest_bytes),
           std::to_string(at));
  }
  manifest_offset_ = static_cast<std::int64_t>(manifest_offset);
  manifest_bytes_ = static_cast<std::int64_t>(manifest_bytes);
}

void BinaryFile::read_manifest() {
  std::vector<std::byte> bytes(static_cast<std::size_t>(manifest_bytes_));
  source_->read(manifest_offset_, bytes);
  const std::uint64_t hash = hash_bytes(bytes);
  if (hashes_differ(manifest_hash_, hash)) {
    refuse(manifest_offset_, tr(Msg::ck_manifest_hash), hex(hash), hex(manifest_hash_));
  }
  ByteReader in(bytes);
  std::uint32_t count = 0, reserved = 0;
  if (!in.get(count) || !in.get(reserved) || reserved != 0) {
    refuse(manifest_offset_ + 4, tr(Msg::ck_not_zero), hex(reserved), "0");
  }
  // Every record has a least size, so a count that the manifest can not hold is refused before anything is allocated.
  const std::int64_t most = std::min(format::kMaxSections, static_cast<std::int64_t>(in.left()) / format::kMinRecordBytes);
  if (count < kRecordSections || count > most) {
    refuse(manifest_offset_, tr(Msg::ck_section_count), std::to_string(count), "4.." + std::to_string(most));
  }
  sections_.reserve(count);
  std::set<std::pair<SectionKind, std::string>> names;
  std::int64_t end = format::kHeaderBytes;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::int64_t at = manifest_offset_ + manifest_bytes_ - static_cast<std::int64_t>(in.left());
    SectionRecord record = read_record(in, i, format::align_up(end));
    if (!names.emplace(record.info.kind, record.info.name).second) {
      refuse(at, tr(Msg::ck_name_repeated), record.info.name, "1");
    }
    end = record.offset + record.bytes;
    sections_.push_back(std::move(record));
  }
  const std::int64_t at = manifest_offset_ + manifest_bytes_ - static_cast<std::int64_t>(in.left());
  if (in.left() != 0) refuse(at, tr(Msg::ck_manifest_left), std::to_string(in.left()), "0");
  if (format::align_up(end) != manifest_offset_) {
    refuse(end, tr(Msg::ck_manifest_range), std::to_string(manifest_offset_), std::to_string(format::align_up(end)));
  }
}

SectionRecord BinaryFile::read_record(ByteReader& in, std::uint32_t index, std::int64_t expected_offset) const {
  const std::int64_t at = manifest_offset_ + manifest_bytes_ - static_cast<std::int64_t>(in.left());
  const auto require = [&](bool holds, Msg rule, auto found, const std::string& expected) {
    if (!holds) refuse(at, tr(rule), to_text(found), expected);
  };
  SectionRecord record;
  record.index = index;
  std::uint16_t kind = 0, flags = 0, dtype = 0, rank = 0, name_bytes = 0;
  const auto require_bytes = [&](bool has_bytes) { require(has_bytes, Msg::ck_record_short, in.left(), ">= 1"); };
  require_bytes(in.get(kind) && in.get(flags) && in.get(dtype) && in.get(rank));

  // Enumerations and the rank are proven before anything is looked up by them.
  record.is_skipped = !is_known_kind(kind);
  require(!record.is_skipped || flags == format::kSectionOptional, Msg::ck_kind, kind, "1..7");
  require(record.is_skipped || flags == 0, Msg::ck_flags, flags, "0");
  require(is_known_dtype(dtype), Msg::ck_dtype, dtype, "1..8");
  require(rank <= format::kMaxRank, Msg::ck_rank, rank, "0..8");
  const bool is_half = dtype == static_cast<std::uint16_t>(DType::f16);
  require(!is_half || (header_.incompat & format::kIncompatFloat16), Msg::ck_dtype, dtype, "1..7");
  record.info.kind = static_cast<SectionKind>(kind);
  record.info.dtype = static_cast<DType>(dtype);
  for (int axis = 0; axis < rank; ++axis) {
    std::uint64_t dim = 0;
    require_bytes(in.get(dim));
    require(dim <= INT64_MAX, Msg::ck_dimension, dim, "< 2^63");
    record.info.shape.push_back(static_cast<std::int64_t>(dim));
  }
  std::span<const std::byte> name;
  require_bytes(in.get(name_bytes));
  require(name_bytes <= format::kMaxNameBytes, Msg::ck_name, name_bytes, "1..255");
  require_bytes(in.get_bytes(name_bytes, name));
  for (const std::byte b : name) record.info.name += static_cast<char>(b);
  if (const auto violation = check_section(record.info, index)) {
    refuse(at, tr(violation->rule), violation->found, violation->expected);
  }

  std::uint64_t offset = 0, bytes = 0;
  require_bytes(in.get(offset) && in.get(bytes) && in.get(record.hash));
  require(offset == static_cast<std::uint64_t>(expected_offset), Msg::ck_offset, offset, std::to_string(expected_offset));
  // The size that the shape gives is proven to fit 63 bits, the offset to lie in the file or just behind its data.
  record.bytes = record.info.bytes();
  record.offset = expected_offset;
  require(bytes == static_cast<std::uint64_t>(record.bytes), Msg::ck_length, bytes, std::to_string(record.bytes));
  require(record.offset <= manifest_offset_ && record.bytes <= manifest_offset_ - record.offset, Msg::ck_length, bytes,
          "<= " + std::to_string(manifest_offset_ - record.offset));
  const std::int64_t chunks = format::chunk_count(record.bytes);
  require_bytes(chunks <= static_cast<std::int64_t>(in.left() / 8));
  record.chunk_hashes.resize(static_cast<std::size_t>(chunks));
  for (std::uint64_t& hash : record.chunk_hashes) require_bytes(in.get(hash));
  if (hashes_differ(record.hash, section_hash(record.chunk_hashes, index))) {
    refuse(at, tr(Msg::ck_section_hash, record.info.name), hex(section_hash(record.chunk_hashes, index)), hex(record.hash));
  }
  return record;
}

}  // namespace zhgpt
