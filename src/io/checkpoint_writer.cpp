// save_checkpoint: one sequential pass. Shapes are known beforehand, so the layout and the exact size of the file are
// fixed before the first byte; hashes are known only after their bytes, so the manifest follows the data.
// Deterministic: equal snapshots give equal files.
#include <algorithm>
#include <cstring>
#include <set>

#include "io/coding.h"
#include "io/format.h"
#include "io/hash.h"
#include "io/section.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/checkpoint.h"
#include "zhgpt/error.h"

namespace zhgpt {
namespace {

struct Section {
  TensorSource source;
  std::int64_t offset = 0, bytes = 0;
  std::vector<std::uint64_t> chunk_hashes = {};
};

// A record becomes a section like a tensor's. `bytes` must outlive the section.
TensorSource record_source(SectionKind kind, DType dtype, std::span<const std::byte> bytes) {
  const std::int64_t count = static_cast<std::int64_t>(bytes.size()) / dtype_bytes(dtype);
  return {{kind, kind_name(kind), dtype, {count}}, [bytes](std::int64_t offset, std::span<std::byte> to) {
            std::copy_n(bytes.begin() + offset, to.size(), to.begin());
          }};
}

// Calls `use(chunk, chunk index)` for each chunk of a section, in order.
template <class Use>
void for_each_chunk(const TensorSource& source, std::int64_t bytes, std::vector<std::byte>& buffer, Use use) {
  for (std::int64_t offset = 0; offset < bytes; offset += format::kChunkBytes) {
    const std::int64_t size = std::min(bytes - offset, format::kChunkBytes);
    buffer.resize(std::max(buffer.size(), static_cast<std::size_t>(size)));
    const std::span chunk(buffer.data(), static_cast<std::size_t>(size));
    source.read(offset, chunk);
    use(chunk, static_cast<std::uint32_t>(offset / format::kChunkBytes));
  }
}

class CheckpointWriter {
 public:
  CheckpointWriter(const std::string& path, const Snapshot& snapshot) : path_(path), snapshot_(snapshot) {
    config_ = snapshot.config.to_string();
    progress_ = snapshot.progress.to_string();
    check_records();
    add(record_source(SectionKind::config, DType::u8, std::as_bytes(std::span(config_))));
    add(record_source(SectionKind::progress, DType::u8, std::as_bytes(std::span(progress_))));
    add(record_source(SectionKind::vocab, DType::i32, std::as_bytes(std::span(snapshot.vocab))));
    add(record_source(SectionKind::history, DType::u8, std::as_bytes(std::span(snapshot.history))));
    for (const TensorSource& tensor : snapshot.tensors) add(tensor);
    lay_out();
  }

  void write(bool overwrite) {
    AtomicFile file(path_, overwrite ? AtomicFile::Existing::replace : AtomicFile::Existing::refuse, file_bytes_);
    const auto header = encode_header();
    file.write(header);
    for (std::uint32_t i = 0; i < sections_.size(); ++i) write_section(file, i);
    write_zeros_until(file, manifest_offset_);
    const ByteWriter manifest = encode_manifest();
    file.write(manifest.bytes());
    file.write(encode_trailer(header, manifest.bytes()).bytes());
    file.commit();
  }

 private:
  [[noreturn]] void refuse(const std::string& what, const std::string& found, const std::string& expected) const {
    throw CheckpointError(tr(Msg::ck_can_not_save, path_, what, found, expected));
  }

  // What the reader would refuse, or read as something else, is not written.
  void check_records() const {
    if (snapshot_.step < 0) refuse(tr(Msg::ck_step), std::to_string(snapshot_.step), ">= 0");
    check_text(SectionKind::config, config_, &snapshot_.config);
    check_text(SectionKind::progress, progress_, &snapshot_.progress);
    check_text(SectionKind::history, snapshot_.history, nullptr);
  }
  void check_text(SectionKind kind, const std::string& text, const KeyValues* record) const {
    const std::string what = tr(Msg::ck_text, kind_name(kind));
    if (!is_clean_text(text)) refuse(what, tr(Msg::ck_bytes_not_text), "UTF-8");
    if (!record) return;
    try {
      if (KeyValues::parse(text, kind_name(kind)).entries() == record->entries()) return;
    } catch (const ConfigError& error) {
      refuse(what, error.what(), "key = value");
    }
    refuse(what, tr(Msg::ck_value_of_several_lines), "key = value");
  }

  void add(const TensorSource& source) {
    const TensorInfo& info = source.info;
    const auto index = static_cast<std::uint32_t>(sections_.size());
    if (const auto violation = check_section(info, index)) refuse(tr(violation->rule), violation->found, violation->expected);
    if (!names_.emplace(info.kind, info.name).second) refuse(tr(Msg::ck_name_repeated), info.name, "1");
    sections_.push_back({source, 0, info.bytes()});
  }

  void lay_out() {
    const auto count = static_cast<std::int64_t>(sections_.size());
    if (count > format::kMaxSections) {
      refuse(tr(Msg::ck_section_count), std::to_string(count), "<= " + std::to_string(format::kMaxSections));
    }
    std::int64_t end = format::kHeaderBytes, manifest_bytes = format::kManifestHeadBytes;
    for (Section& section : sections_) {
      section.offset = format::align_up(end);
      end = section.offset + section.bytes;
      const TensorInfo& info = section.source.info;
      manifest_bytes += format::kMinRecordBytes - 1 + static_cast<std::int64_t>(8 * info.shape.size() + info.name.size()) +
                        8 * format::chunk_count(section.bytes);
    }
    manifest_offset_ = format::align_up(end);
    file_bytes_ = manifest_offset_ + manifest_bytes + format::kTrailerBytes;
  }

  std::vector<std::byte> encode_header() const {
    ByteWriter out;
    out.put_bytes(std::as_bytes(std::span(format::kMagic)));
    out.put(format::kVersion);
    out.put(format::kMinReader);
    out.put(std::uint32_t{0});  // incompat
    out.put(std::uint32_t{0});  // compat
    out.put(static_cast<std::uint64_t>(snapshot_.step));
    out.put_bytes(std::as_bytes(std::span(snapshot_.run_id)));
    out.put(format::kEndianTag);
    out.put_zeros_until(format::kHeaderHashAt);
    out.put(hash_bytes(out.bytes()));
    return {out.bytes().begin(), out.bytes().end()};
  }

  void write_section(AtomicFile& file, std::uint32_t index) {
    Section& section = sections_[index];
    const TensorInfo& info = section.source.info;
    write_zeros_until(file, section.offset);
    for_each_chunk(section.source, section.bytes, buffer_, [&](std::span<const std::byte> chunk, std::uint32_t i) {
      if (const auto at = first_not_finite(info.dtype, chunk)) {
        const std::int64_t element = *at + i * (format::kChunkBytes / dtype_bytes(info.dtype));
        throw NotFiniteError(tr(Msg::ck_save_not_finite, path_, info.name, element));
      }
      section.chunk_hashes.push_back(chunk_hash(chunk, index, i));
      file.write(chunk);
    });
  }

  static void write_zeros_until(AtomicFile& file, std::int64_t offset) {
    static constexpr std::byte kZeros[format::kAlignment] = {};
    file.write(std::span(kZeros).first(static_cast<std::size_t>(offset - file.written())));
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
      out.put(static_cast<std::uint64_t>(section.bytes));
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
  std::set<std::pair<SectionKind, std::string>> names_;
  std::int64_t manifest_offset_ = 0, file_bytes_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace

void save_checkpoint(const std::string& path, const Snapshot& snapshot, bool overwrite) {
  CheckpointWriter(path, snapshot).write(overwrite);
}

std::uint64_t state_hash(const Snapshot& snapshot) {
  StateHasher hasher;
  std::vector<std::byte> buffer;
  for (const TensorSource& tensor : snapshot.tensors) {
    hasher.begin_tensor(tensor.info);
    for_each_chunk(tensor, tensor.info.bytes(), buffer, [&](auto chunk, std::uint32_t) { hasher.add(chunk); });
  }
  return hasher.value();
}

}  // namespace zhgpt
