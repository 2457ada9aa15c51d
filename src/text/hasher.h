// XXH3 of bytes that come in pieces (Y. Collet, https://xxhash.com). Not for secrets: it finds damage, not
// malice.
#pragma once

#include <xxhash.h>

#include <cstdint>
#include <memory>
#include <new>
#include <span>

namespace zhgpt {

class Hasher {
 public:
  explicit Hasher(std::uint64_t seed = 0) : state_(XXH3_createState(), XXH3_freeState), seed_(seed) {
    if (!state_) throw std::bad_alloc();
    reset();
  }
  void reset() { XXH3_64bits_reset_withSeed(state_.get(), seed_); }
  void update(std::span<const std::byte> bytes) {
    XXH3_64bits_update(state_.get(), bytes.data(), bytes.size());
  }
  std::uint64_t digest() const { return XXH3_64bits_digest(state_.get()); }

 private:
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state_;
  std::uint64_t seed_;
};

}  // namespace zhgpt
