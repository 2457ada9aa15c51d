#include "simt/memory.h"

#include <cstdint>
#include <cstring>
#include <map>

#include "simt/asan.h"
#include "simt/block.h"
#include "simt/region.h"

namespace zhgpt::simt {
namespace {

struct Piece {
  void* address;
  std::size_t bytes;
};
std::map<const void*, void*> arrays;  // by tag
std::map<std::size_t, Piece> pieces;  // by offset
std::size_t array_bytes = 0;          // of all arrays

}  // namespace

void reset_shared_memory() {
  arrays.clear();
  pieces.clear();
  array_bytes = 0;
  shared_region().clear();
}

void* shared_array(const void* tag, std::size_t bytes, std::size_t align, Where where) {
  void*& array = arrays[tag];
  if (array) return array;
  array_bytes += bytes;
  if (array_bytes > kSharedBytes || array_bytes + block().kernel().shared_bytes > kSharedBytesOptIn) {
    block().fail({where, __builtin_return_address(0)},
                 "static shared arrays of %zu bytes beside %zu dynamic ones", array_bytes,
                 block().kernel().shared_bytes);
  }
  array = shared_region().take(bytes, align);
  return array;
}

void* shared_piece(std::size_t offset, std::size_t bytes, Where where) {
  const Site site{where, __builtin_return_address(0)};
  const std::size_t launched = block().kernel().shared_bytes;
  if (offset + bytes > launched) {
    block().fail(site, "takes shared memory up to byte %zu, launched with %zu", offset + bytes, launched);
  }
  const auto [found, fresh] = pieces.try_emplace(offset, Piece{nullptr, bytes});
  Piece& piece = found->second;
  if (fresh) piece.address = shared_region().take(bytes, 16);
  if (piece.bytes != bytes) {
    block().fail(site, "takes %zu bytes of shared memory where another thread took %zu", bytes, piece.bytes);
  }
  return piece.address;
}

void require_aligned(const void* address, std::size_t bytes, const char* what, Where where) {
  if (reinterpret_cast<std::uintptr_t>(address) % bytes == 0) return;
  const Region& region = shared_region().contains(address) ? shared_region() : device_region();
  block().fail({where, __builtin_return_address(0)}, "%s: not aligned to %zu bytes: %s", what, bytes,
               region.describe(address));
}

void check_access(const void* address, std::size_t bytes, bool shared, race::Access kind, const char* what,
                  const Site& site) {
  const Region& region = shared ? shared_region() : device_region();
  if (reinterpret_cast<std::uintptr_t>(address) % bytes != 0) {
    block().fail(site, "%s: not aligned to %zu bytes: %s", what, bytes, region.describe(address));
  }
  if ((shared || region.contains(address)) && !region.holds(address, bytes)) {
    block().fail(site, "%s: out of bounds: %s", what, region.describe(address));
  }
  if (asan::poisoned(address, bytes)) {
    block().fail(site, "%s: touched before its asynchronous copy was waited for: %s", what,
                 region.describe(address));
  }
  race::access(address, bytes, kind, site.pc);
}

void atomic_access(const void* address, std::size_t bytes, const char* name, Where where) {
  const bool shared = shared_region().contains(address);
  check_access(address, bytes, shared, race::Access::atomic, name, {where, __builtin_return_address(0)});
}

void raw_copy(void* to, const void* from, std::size_t bytes) {
  std::memcpy(to, from, bytes);
}

}  // namespace zhgpt::simt
