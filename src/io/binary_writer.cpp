// write_binary: one sequential pass. Shapes are known beforehand, so the layout and the exact size of the file are
// fixed before the first byte; hashes are known only after their bytes, so the manifest follows the data.
// Deterministic: equal snapshots give equal files.
#include <algorithm>

#include "io/coding.h"
#include "io/contents.h"
#include "io/format.h"
#include "io/hash.h"
#include "io/section.h"
#include "io/snapshot_stream.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/checkpoint.h"
#include "zhgpt/error.h"

namespace zhgpt {
namespace {

struct Section {
  TensorSource source;
  std::int64_t offset = 0;
  std::vector<std::uint64_t> chunk_hashes = {};

  std::int64_t bytes() const { return source.info.bytes(); }
};

// A record becomes a section like a tensor's. `bytes` must outlive the section.
TensorSource record_source(SectionKind kind, DType dtype, std::span<const std::byte> bytes) {
  const std::int64_t count = static_cast<std::int64_t>(bytes.size()) / dtype_bytes(dtype);
  return {{kind, kind_name(kind), dtype, {count}}, [bytes](std::int64_t offset, std::span<std::byte> to) {
            std::copy_n(bytes.begin() + offset, to.size(), to.begin());
          }};
}

class BinaryWriter {
 public:
  BinaryWriter(const std::string& path, const Snapshot& snapshot) : path_(path), snapshot_(snapshot) {
    check_snapshot(path, snapshot);
    config_ = snapshot.config.to_string();
    progress_ = snapshot.progress.to_string();
    add(record_source(SectionKind::config, DType::u8, std::as_bytes(std::span(config_))));
    add(record_source(SectionKind::progress, DType::u8, std::as_bytes(std::span(progress_))));
    add(record_source(SectionKind::vocab, DType::i32, std::as_bytes(std::span(snapshot.vocab))));
    add(record_source(SectionKind::history, DType::u8, std::as_bytes(std::span(snapshot.history))));
    for (const TensorSource& tensor : snapshot.tensors) add(tensor);
    lay_out();
  }

  std::int64_t file_bytes() const { return file_bytes_; }

  void write(AtomicFile& file) {
    begin_ = file.written();
    const auto header = encode_header();
    file.write(header);
    for (std::uint32_t i = 0; i < sections_.size(); ++i) write_section(file, i);
    write_zeros_until(file, manifest_offset_);
    const ByteWriter manifest = encode_manifest();
    file.write(manifest.bytes());
    file.write(encode_trailer(header, manifest.bytes()).bytes());
  }

 private:
  void add(const TensorSource& source) { sections_.push_back({source}); }

  void lay_out() {
    std::int64_t end = format::kHeaderBytes, manifest_bytes = format::kManifestHeadBytes;
    for (Section& section : sections_) {
      section.offset = format::align_up(end);
      end = section.offset + section.bytes();
      const TensorInfo& info = section.source.info;
      manifest_bytes += format::kMinRecordBytes - 1 + static_cast<std::int64_t>(8 * info.shape.size() + info.name.size()) +
                        8 * format::chunk_count(section.bytes());
    }
    manifest_offset_ = format::align_up(end);
    file_bytes_ = manifest_offset_ + manifest_bytes + format::kTrailerBytes;
  }

  std::vector<std::byte> encode_header() const {
    ByteWriter out;
    out.put_bytes(std::as_bytes(std::span(format::kMagic)));
    out.put(format::kVersion);
    out.put(format::kMinReader);
    out.put(incompat());
    out.put(std::uint32_t{0});  // compat
    out.put(static_cast<std::uint64_t>(snapshot_.step));
    out.put_bytes(std::as_bytes(std::span(snapshot_.run_id)));
    out.put(format::kEndianTag);
    out.put_zeros_until(format::kHeaderHashAt);
    out.put(hash_bytes(out.bytes()));
    return {out.bytes().begin(), out.bytes().end()};
  }

  std::uint32_t incompat() const {
    const auto is_half = [](const Section& section) { return section.source.info.dtype == DType::f16; };
    return std::ranges::any_of(sections_, is_half) ? format::kIncompatFloat16 : 0;
  }

  void write_section(AtomicFile& file, std::uint32_t index) {
    Section& section = sections_[index];
    const TensorInfo& info = section.source.info;
    write_zeros_until(file, section.offset);
    for_each_chunk(section.source, buffer_, [&](std::span<const std::byte> chunk, std::uint32_t i) {
      require_finite(path_, info, i, chunk);
      section.chunk_hashes.push_back(chunk_hash(chunk, index, i));
      file.write(chunk);
    });
  }

  void write_zeros_until(AtomicFile& file, std::int64_t offset) const {
    static constexpr std::byte kZeros[format::kAlignment] = {};
    file.write(std::span(kZeros).first(static_cast<std::size_t>(begin_ + offset - file.written())));
  }

  ByteWriter encode_manifest() const {
    ByteWriter out;
    out.put(static_cast<std::uint32_t>(sections_.size()));
    out.put(std::uint32_t{0});
    for (std::uint32_t i = 0; i < sections_.size(); ++i) {
      const Section& section = sections_[i];
      const TensorInfo& info = section.source.info;
      out.put(static_cast<std::uint16_t>(info.kind));
      out.put(std::uint16_t{0});  // flags
      out.put(static_cast<std::uint16_t>(info.dtype));
      out.put(static_cast<std::uint16_t>(info.shape.size()));
      for (const std::int64_t dim : info.shape) out.put(static_cast<std::uint64_t>(dim));
      out.put(static_cast<std::uint16_t>(info.name.size()));
      out.put_bytes(std::as_bytes(std::span(info.name)));
      out.put(static_cast<std::uint64_t>(section.offset));
      out.put(static_cast<std::uint64_t>(section.bytes()));
      out.put(section_hash(section.chunk_hashes, i));
      for (const std::uint64_t hash : section.chunk_hashes) out.put(hash);
    }
    return out;
  }

  ByteWriter encode_trailer(std::span<const std::byte> header, std::span<const std::byte> manifest) const {
    ByteWriter out;
    out.put_bytes(std::as_bytes(std::span(format::kMagic)));
    out.put(static_cast<std::uint64_t>(file_bytes_));
    out.put(static_cast<std::uint64_t>(manifest_offset_));
    out.put(static_cast<std::uint64_t>(manifest.size()));
    out.put(hash_bytes(manifest));
    out.put_bytes(header.subspan(static_cast<std::size_t>(format::kHeaderHashAt)));
    out.put_bytes(std::as_bytes(std::span(snapshot_.run_id)).first(8));
    out.put(hash_bytes(out.bytes()));
    return out;
  }

  const std::string& path_;
  const Snapshot& snapshot_;
  std::string config_, progress_;
  std::vector<Section> sections_;
  std::int64_t begin_ = 0;  // of the checkpoint in the file that it is written to
  std::int64_t manifest_offset_ = 0, file_bytes_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace

void write_binary(const std::string& path, const Snapshot& snapshot, bool overwrite) {
  BinaryWriter writer(path, snapshot);
  AtomicFile file(path, overwrite ? AtomicFile::Existing::replace : AtomicFile::Existing::refuse, writer.file_bytes());
  writer.write(file);
  file.commit();
}

void write_binary(AtomicFile& file, const Snapshot& snapshot) { BinaryWriter(file.path(), snapshot).write(file); }

std::int64_t binary_bytes(const std::string& path, const Snapshot& snapshot) {
  return BinaryWriter(path, snapshot).file_bytes();
}

}  // namespace zhgpt
