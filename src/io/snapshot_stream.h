// What every writer of a checkpoint does with a snapshot: check it once, then stream its tensors.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/format.h"
#include "zhgpt/checkpoint.h"

namespace zhgpt {

// Throws CheckpointError for what a reader would refuse or read as something else: steps below 0, texts that are
// none, values of several lines, names that are not allowed or come twice, shapes that are none, too much of it.
void check_snapshot(const std::string& path, const Snapshot& snapshot);

// Why these can not be a record of a checkpoint: bytes that are no text, or a value of several lines; nullopt when
// they can. `name`: of the record.
std::optional<std::string> record_fault(const KeyValues& record, const char* name);

// Throws CheckpointError when a float of a tensor's chunk is not finite. `path`: where it was to be written.
void require_finite(const std::string& path, const TensorInfo& info, std::uint32_t chunk_index,
                    std::span<const std::byte> chunk);

// Calls `use(chunk, chunk index)` for each chunk of 16 MiB of a tensor, in order.
template <class Use>
void for_each_chunk(const TensorSource& source, std::vector<std::byte>& buffer, Use use) {
  const std::int64_t bytes = source.info.bytes();
  for (std::int64_t offset = 0; offset < bytes; offset += format::kChunkBytes) {
    const std::int64_t size = std::min(bytes - offset, format::kChunkBytes);
    buffer.resize(std::max(buffer.size(), static_cast<std::size_t>(size)));
    const std::span chunk(buffer.data(), static_cast<std::size_t>(size));
    source.read(offset, chunk);
    use(chunk, static_cast<std::uint32_t>(offset / format::kChunkBytes));
  }
}

}  // namespace zhgpt
