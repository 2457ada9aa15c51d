// Checkpoint: reads and proves every byte of a checkpoint's contents before anyone sees one of them.
// Memory: the records, the manifest and one buffer of at most 16 MiB, whatever the file claims.
#include <algorithm>

#include "io/checkpoint_file.h"
#include "io/coding.h"
#include "io/format.h"
#include "io/hash.h"
#include "io/section.h"
#include "zhgpt/checkpoint.h"
#include "zhgpt/error.h"

namespace zhgpt {
namespace {

// Streams one section, verifying each chunk before `use(chunk)` sees it.
template <class Use>
void read_section(const CheckpointFile& file, const SectionRecord& section, std::vector<std::byte>& buffer, Use use) {
  for (std::uint32_t i = 0; i < section.chunk_hashes.size(); ++i) {
    const std::int64_t begin = i * format::kChunkBytes;
    const std::int64_t size = std::min(section.bytes - begin, format::kChunkBytes);
    buffer.resize(std::max(buffer.size(), static_cast<std::size_t>(size)));
    const std::span chunk(buffer.data(), static_cast<std::size_t>(size));
    file.read(section.offset + begin, chunk);
    const std::uint64_t hash = chunk_hash(chunk, section.index, i);
    if (hashes_differ(section.chunk_hashes[i], hash)) {
      file.refuse(section.offset + begin, tr(Msg::ck_section_hash, section.info.name), hex(hash), hex(section.chunk_hashes[i]));
    }
    use(std::span<const std::byte>(chunk), begin);
  }
}

void require_zeros(const CheckpointFile& file, std::int64_t begin, std::int64_t end) {
  std::byte padding[format::kAlignment];
  const std::span bytes(padding, static_cast<std::size_t>(end - begin));
  file.read(begin, bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != std::byte{0}) {
      file.refuse(begin + static_cast<std::int64_t>(i), tr(Msg::ck_not_zero), std::to_string(std::to_integer<int>(bytes[i])), "0");
    }
  }
}

std::string read_bytes(const CheckpointFile& file, const SectionRecord& section, std::vector<std::byte>& buffer) {
  std::string bytes;
  bytes.reserve(static_cast<std::size_t>(section.bytes));
  read_section(file, section, buffer, [&](std::span<const std::byte> chunk, std::int64_t) {
    bytes.append(reinterpret_cast<const char*>(chunk.data()), chunk.size());
  });
  return bytes;
}

std::string read_text(const CheckpointFile& file, const SectionRecord& section, std::vector<std::byte>& buffer) {
  std::string text = read_bytes(file, section, buffer);
  if (!is_clean_text(text)) {
    file.refuse(section.offset, tr(Msg::ck_text, section.info.name), tr(Msg::ck_bytes_not_text), "UTF-8");
  }
  return text;
}

KeyValues read_key_values(const CheckpointFile& file, const SectionRecord& section, std::vector<std::byte>& buffer) {
  try {
    return KeyValues::parse(read_text(file, section, buffer), section.info.name);
  } catch (const ConfigError& error) {
    file.refuse(section.offset, tr(Msg::ck_text, section.info.name), error.what(), "key = value");
  }
}

std::vector<std::int32_t> read_vocab(const CheckpointFile& file, const SectionRecord& section, std::vector<std::byte>& buffer) {
  const std::string bytes = read_bytes(file, section, buffer);
  ByteReader in(std::as_bytes(std::span(bytes)));
  std::vector<std::int32_t> vocab;
  vocab.reserve(bytes.size() / sizeof(std::int32_t));
  for (std::uint32_t entry = 0; in.get(entry);) vocab.push_back(static_cast<std::int32_t>(entry));
  return vocab;
}

}  // namespace

Checkpoint Checkpoint::open(const std::string& path) {
  Checkpoint checkpoint;
  checkpoint.file_ = CheckpointFile::open(path);
  const CheckpointFile& file = *checkpoint.file_;
  checkpoint.path_ = path;
  checkpoint.step_ = file.header().step;
  checkpoint.run_id_ = file.header().run_id;
  checkpoint.file_bytes_ = file.bytes();

  std::vector<std::byte> buffer;
  StateHasher state;
  std::int64_t end = format::kHeaderBytes;
  for (const SectionRecord& section : file.sections()) {
    require_zeros(file, end, section.offset);
    end = section.offset + section.bytes;
    switch (section.info.kind) {
      case SectionKind::config: checkpoint.config_ = read_key_values(file, section, buffer); break;
      case SectionKind::progress: checkpoint.progress_ = read_key_values(file, section, buffer); break;
      case SectionKind::vocab: checkpoint.vocab_ = read_vocab(file, section, buffer); break;
      case SectionKind::history: checkpoint.history_ = read_text(file, section, buffer); break;
      default:  // a tensor, or an optional section of an unknown kind, which is verified and otherwise ignored
        if (!section.is_skipped) {
          state.begin_tensor(section.info);
          checkpoint.tensors_.push_back(section.info);
        }
        read_section(file, section, buffer, [&](std::span<const std::byte> chunk, std::int64_t begin) {
          if (section.is_skipped) return;
          if (const auto at = first_not_finite(section.info.dtype, chunk)) {
            file.refuse(section.offset + begin + *at * dtype_bytes(section.info.dtype),
                        tr(Msg::ck_not_finite, section.info.name), tr(Msg::ck_value_not_finite), tr(Msg::ck_value_finite));
          }
          state.add(chunk);
        });
    }
  }
  require_zeros(file, end, file.manifest_offset());
  checkpoint.state_hash_ = state.value();
  return checkpoint;
}

void Checkpoint::read(SectionKind kind, const std::string& name, std::span<std::byte> to) const {
  const auto& sections = file_->sections();
  const auto section = std::ranges::find_if(
      sections, [&](const SectionRecord& s) { return s.info.kind == kind && s.info.name == name; });
  const std::int64_t found = section == sections.end() ? 0 : section->bytes;
  if (section == sections.end() || found != static_cast<std::int64_t>(to.size())) {
    throw CheckpointError(tr(Msg::ck_no_tensor, path_, name, kind_name(kind), to.size(), found));
  }
  // Verified in place: the caller's memory is the buffer.
  for (std::uint32_t i = 0; i < section->chunk_hashes.size(); ++i) {
    const std::int64_t begin = i * format::kChunkBytes;
    const auto chunk = to.subspan(static_cast<std::size_t>(begin),
                                  static_cast<std::size_t>(std::min(found - begin, format::kChunkBytes)));
    file_->read(section->offset + begin, chunk);
    if (hashes_differ(section->chunk_hashes[i], chunk_hash(chunk, section->index, i))) {
      file_->refuse(section->offset + begin, tr(Msg::ck_changed), name, tr(Msg::ck_unchanged));
    }
  }
}

}  // namespace zhgpt
