// XXH3-64 (Y. Collet, https://xxhash.com), the hash of every part of a checkpoint. It finds accidents, not attackers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "zhgpt/checkpoint.h"

struct XXH3_state_s;

namespace zhgpt {

// Whether a stored hash and a computed one differ. A fuzz target is built without this test, to get behind it.
inline bool hashes_differ([[maybe_unused]] std::uint64_t stored, [[maybe_unused]] std::uint64_t computed) {
#ifdef ZHGPT_FUZZ_IGNORE_HASHES
  return false;
#else
  return stored != computed;
#endif
}

std::uint64_t hash_bytes(std::span<const std::byte> bytes, std::uint64_t seed = 0);

// A section's hashes: one a chunk of 16 MiB, seeded with the section's place and its own, so that exchanged chunks
// are found and damage is located; the section's hash is that of its chunk hashes.
std::uint64_t chunk_hash(std::span<const std::byte> chunk, std::uint32_t section, std::uint32_t chunk_index);
std::uint64_t section_hash(std::span<const std::uint64_t> chunk_hashes, std::uint32_t section);

// A hash of bytes that come in any number of pieces.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;
  void add(std::span<const std::byte> bytes);
  std::uint64_t value() const;

 private:
  XXH3_state_s* state_;
};

// The state hash, tensor by tensor: identity first, then all bytes in any number of pieces.
class StateHasher : public Hasher {
 public:
  void begin_tensor(const TensorInfo& info);
};

}  // namespace zhgpt
