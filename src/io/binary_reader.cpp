// read_binary: proves every byte of a .bin's contents before anyone sees one of them.
// Memory: the records, the manifest and one buffer of at most 16 MiB, whatever the file claims.
#include <algorithm>

#include "io/binary_file.h"
#include "io/coding.h"
#include "io/contents.h"
#include "io/format.h"
#include "io/hash.h"
#include "io/section.h"
#include "zhgpt/error.h"

namespace zhgpt {
namespace {

class BinaryContents : public Contents {
 public:
  explicit BinaryContents(std::shared_ptr<const ByteSource> bytes) : file_(bytes) {
    source = std::move(bytes);
    format = Format::binary;
    step = file_.header().step;
    run_id = file_.header().run_id;

    StateHasher state;
    std::int64_t end = format::kHeaderBytes;
    for (const SectionRecord& section : file_.sections()) {
      require_zeros(end, section.offset);
      end = section.offset + section.bytes;
      switch (section.info.kind) {
        case SectionKind::config: config = read_key_values(section); break;
        case SectionKind::progress: progress = read_key_values(section); break;
        case SectionKind::vocab: vocab = read_vocab(section); break;
        case SectionKind::history: history = read_text(section); break;
        default: read_tensor(section, state);
      }
    }
    require_zeros(end, file_.manifest_offset());
    state_hash = state.value();
    buffer_ = {};
  }

  std::span<const std::byte> view(std::size_t index) const override {
    const SectionRecord& section = section_of(index);
    if (source->memory().empty()) return {};
    return source->memory().subspan(static_cast<std::size_t>(section.offset),
                                    static_cast<std::size_t>(section.bytes));
  }

 private:
  const SectionRecord& section_of(std::size_t index) const { return file_.sections()[chunks_[index].section]; }

  void read_chunk(std::size_t index, std::uint32_t chunk, std::span<std::byte> to) const override {
    source->read(section_of(index).offset + chunk * format::kChunkBytes, to);
  }

  // Streams one section, verifying each chunk before `use(chunk, its place in the section)` sees it.
  template <class Use>
  void read_section(const SectionRecord& section, Use use) {
    for (std::uint32_t i = 0; i < section.chunk_hashes.size(); ++i) {
      const std::int64_t begin = i * format::kChunkBytes;
      const std::int64_t size = std::min(section.bytes - begin, format::kChunkBytes);
      buffer_.resize(std::max(buffer_.size(), static_cast<std::size_t>(size)));
      const std::span chunk(buffer_.data(), static_cast<std::size_t>(size));
      source->read(section.offset + begin, chunk);
      const std::uint64_t hash = chunk_hash(chunk, section.index, i);
      if (hashes_differ(section.chunk_hashes[i], hash)) {
        source->refuse(section.offset + begin, tr(Msg::ck_section_hash, section.info.name), hex(hash),
                       hex(section.chunk_hashes[i]));
      }
      use(std::span<const std::byte>(chunk), begin);
    }
  }

  // A tensor, or an optional section of an unknown kind, which is verified and otherwise ignored.
  void read_tensor(const SectionRecord& section, StateHasher& state) {
    if (section.is_skipped) return read_section(section, [](auto, std::int64_t) {});
    const std::size_t index = tensors.size();
    tensors.push_back(section.info);
    chunks_.push_back({section.index, section.chunk_hashes});
    state.begin_tensor(section.info);
    read_section(section, [&](std::span<const std::byte> chunk, std::int64_t begin) {
      require_finite(index, chunk, section.offset + begin);
      state.add(chunk);
    });
  }

  void require_zeros(std::int64_t begin, std::int64_t end) const {
    std::byte padding[format::kAlignment];
    const std::span bytes(padding, static_cast<std::size_t>(end - begin));
    source->read(begin, bytes);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      if (bytes[i] != std::byte{0}) {
        source->refuse(begin + static_cast<std::int64_t>(i), tr(Msg::ck_not_zero),
                       std::to_string(std::to_integer<int>(bytes[i])), "0");
      }
    }
  }

  std::string read_bytes(const SectionRecord& section) {
    std::string bytes;
    bytes.reserve(static_cast<std::size_t>(section.bytes));
    read_section(section, [&](std::span<const std::byte> chunk, std::int64_t) {
      bytes.append(reinterpret_cast<const char*>(chunk.data()), chunk.size());
    });
    return bytes;
  }

  std::string read_text(const SectionRecord& section) {
    std::string text = read_bytes(section);
    if (!is_clean_text(text)) {
      source->refuse(section.offset, tr(Msg::ck_text, section.info.name), tr(Msg::ck_bytes_not_text), "UTF-8");
    }
    return text;
  }

  KeyValues read_key_values(const SectionRecord& section) {
    try {
      return KeyValues::parse(read_text(section), section.info.name);
    } catch (const ConfigError& error) {
      source->refuse(section.offset, tr(Msg::ck_text, section.info.name), error.what(), "key = value");
    }
  }

  std::vector<std::int32_t> read_vocab(const SectionRecord& section) {
    const std::string bytes = read_bytes(section);
    ByteReader in(std::as_bytes(std::span(bytes)));
    std::vector<std::int32_t> entries;
    entries.reserve(bytes.size() / sizeof(std::int32_t));
    for (std::uint32_t entry = 0; in.get(entry);) entries.push_back(static_cast<std::int32_t>(entry));
    return entries;
  }

  BinaryFile file_;
  std::vector<std::byte> buffer_;  // while the file is proven
};

}  // namespace

std::shared_ptr<const Contents> read_binary(std::shared_ptr<const ByteSource> source) {
  return std::make_shared<const BinaryContents>(std::move(source));
}

}  // namespace zhgpt
