#include "io/contents.h"

#include <algorithm>

#include "io/format.h"
#include "io/hash.h"
#include "io/section.h"
#include "zhgpt/error.h"

namespace zhgpt {

std::span<std::byte> Contents::chunk_buffer(std::size_t index, std::uint32_t chunk) const {
  const std::int64_t begin = chunk * format::kChunkBytes;
  const std::int64_t size = std::min(tensors[index].bytes() - begin, format::kChunkBytes);
  buffer_.resize(std::max(buffer_.size(), static_cast<std::size_t>(size)));
  return std::span(buffer_).first(static_cast<std::size_t>(size));
}

void Contents::require_finite(std::size_t index, std::span<const std::byte> chunk, std::int64_t place) const {
  const TensorInfo& info = tensors[index];
  if (const auto at = first_not_finite(info.dtype, chunk)) {
    source->refuse(place + *at * dtype_bytes(info.dtype), tr(Msg::ck_not_finite, info.name),
                   tr(Msg::ck_value_not_finite), tr(Msg::ck_value_finite));
  }
}

void Contents::read(std::size_t index, std::int64_t offset, std::span<std::byte> to) const {
  const ChunkHashes& proven = chunks_[index];
  while (!to.empty()) {
    const auto chunk = static_cast<std::uint32_t>(offset / format::kChunkBytes);
    const std::int64_t begin = chunk * format::kChunkBytes;
    const std::int64_t size = std::min(tensors[index].bytes() - begin, format::kChunkBytes);
    const auto count = std::min(begin + size - offset, static_cast<std::int64_t>(to.size()));
    // A whole chunk is proven in the caller's memory, a part of one beside it.
    const bool is_whole = count == size;
    const std::span<std::byte> bytes =
        is_whole ? to.first(static_cast<std::size_t>(size)) : chunk_buffer(index, chunk);
    read_chunk(index, chunk, bytes);
    if (hashes_differ(proven.hashes[chunk], chunk_hash(bytes, proven.section, chunk))) {
      source->refuse(0, tr(Msg::ck_changed), tensors[index].name, tr(Msg::ck_unchanged));
    }
    if (!is_whole) {
      const auto part = bytes.subspan(static_cast<std::size_t>(offset - begin), static_cast<std::size_t>(count));
      std::ranges::copy(part, to.begin());
    }
    offset += count;
    to = to.subspan(static_cast<std::size_t>(count));
  }
}

}  // namespace zhgpt
