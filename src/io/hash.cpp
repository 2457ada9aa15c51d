#include "io/hash.h"

#include <xxhash.h>

#include <new>

#include "io/coding.h"

namespace zhgpt {

std::uint64_t hash_bytes(std::span<const std::byte> bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

std::uint64_t chunk_hash(std::span<const std::byte> chunk, std::uint32_t section, std::uint32_t chunk_index) {
  return hash_bytes(chunk, static_cast<std::uint64_t>(section) << 32 | chunk_index);
}

std::uint64_t section_hash(std::span<const std::uint64_t> chunk_hashes, std::uint32_t section) {
  ByteWriter out;
  for (const std::uint64_t hash : chunk_hashes) out.put(hash);
  return hash_bytes(out.bytes(), section);
}

Hasher::Hasher() : state_(XXH3_createState()) {
  if (!state_) throw std::bad_alloc();
  XXH3_64bits_reset(state_);
}

Hasher::~Hasher() { XXH3_freeState(state_); }

void StateHasher::begin_tensor(const TensorInfo& info) {
  ByteWriter out;
  out.put(static_cast<std::uint16_t>(info.kind));
  out.put(static_cast<std::uint16_t>(info.dtype));
  out.put(static_cast<std::uint16_t>(info.shape.size()));
  out.put(static_cast<std::uint16_t>(info.name.size()));
  for (const std::int64_t dim : info.shape) out.put(static_cast<std::uint64_t>(dim));
  out.put_bytes(std::as_bytes(std::span(info.name)));
  add(out.bytes());
}

void Hasher::add(std::span<const std::byte> bytes) { XXH3_64bits_update(state_, bytes.data(), bytes.size()); }

std::uint64_t Hasher::value() const { return XXH3_64bits_digest(state_); }

}  // namespace zhgpt
