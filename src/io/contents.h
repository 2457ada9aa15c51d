// Contents: what a reader of one format has proven, behind the Checkpoint that hands it out.
//
// Whatever the format, a tensor is its bytes in our order (little-endian, (OC, C) row-major), seen in chunks of
// 16 MiB with a hash each, as in .bin. The hashes of the first reading are kept, so that every later reading
// proves that the file is still the one that was verified.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/byte_source.h"
#include "zhgpt/checkpoint.h"

namespace zhgpt {

class AtomicFile;

class Contents {
 public:
  virtual ~Contents() = default;

  std::shared_ptr<const ByteSource> source;
  Format format = Format::binary;
  std::int64_t step = 0;
  RunId run_id{};
  KeyValues config, progress;
  std::vector<std::int32_t> vocab;
  std::string history;
  std::vector<TensorInfo> tensors;
  std::uint64_t state_hash = 0;

  // Bytes [offset, offset + to.size()) of tensor `index`. REQUIRES: they lie inside; one thread at a time. Throws
  // CheckpointError when the file has changed.
  void read(std::size_t index, std::int64_t offset, std::span<std::byte> to) const;
  // Those bytes where they lie in memory, all of the tensor; empty when they do not lie there as they are.
  virtual std::span<const std::byte> view(std::size_t) const { return {}; }

 protected:
  // The whole chunk, which `to` has the size of.
  virtual void read_chunk(std::size_t index, std::uint32_t chunk, std::span<std::byte> to) const = 0;

  // Throws CheckpointError when a float of the chunk is not finite; `place`: where in the file it begins.
  void require_finite(std::size_t index, std::span<const std::byte> chunk, std::int64_t place) const;

  struct ChunkHashes {
    std::uint32_t section = 0;          // which seeds them, see chunk_hash
    std::vector<std::uint64_t> hashes;  // one a chunk
  };
  std::vector<ChunkHashes> chunks_;  // one a tensor

 private:
  std::span<std::byte> chunk_buffer(std::size_t index, std::uint32_t chunk) const;
  mutable std::vector<std::byte> buffer_;  // of the chunk that a part was asked of
};

std::shared_ptr<const Contents> read_binary(std::shared_ptr<const ByteSource> source);
std::shared_ptr<const Contents> read_json(std::shared_ptr<const ByteSource> source);
std::shared_ptr<const Contents> read_msgpack(std::shared_ptr<const ByteSource> source);
std::shared_ptr<const Contents> read_safetensors(std::shared_ptr<const ByteSource> source);

void write_binary(const std::string& path, const Snapshot& snapshot, bool overwrite);
// As a part of a larger file, behind what is written already.
void write_binary(AtomicFile& file, const Snapshot& snapshot);
std::int64_t binary_bytes(const std::string& path, const Snapshot& snapshot);  // how many that will be
void write_json(const std::string& path, const Snapshot& snapshot, bool overwrite);
void write_msgpack(const std::string& path, const Snapshot& snapshot, bool overwrite);
void write_safetensors(const std::string& path, const Snapshot& snapshot, bool overwrite);

}  // namespace zhgpt
