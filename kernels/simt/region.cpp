#include "simt/region.h"

#include <sys/mman.h>

#include <cstring>
#include <new>
#include <string>

#include "simt/asan.h"
#include "simt/race.h"
#include "simt/site.h"

namespace zhgpt::simt {

Region::Region(const char* noun, std::size_t reserved_bytes, std::size_t gap_bytes)
    : noun_(noun), reserved_bytes_(reserved_bytes), gap_bytes_(gap_bytes) {
  void* base = mmap(nullptr, reserved_bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) throw std::bad_alloc();
  base_ = static_cast<char*>(base);
}

void* Region::take(std::size_t bytes, std::size_t align) {
  const std::size_t begin = (used_bytes_ + gap_bytes_ + align - 1) / align * align;
  const std::size_t end = begin + bytes;
  if (end + gap_bytes_ > reserved_bytes_) return nullptr;
  asan::poison(base_ + used_bytes_, end + gap_bytes_ - used_bytes_);
  asan::unpoison(base_ + begin, bytes);
  std::memset(base_ + begin, 0xff, bytes);
  race::unused(base_ + used_bytes_, end + gap_bytes_ - used_bytes_);
  race::allocated(base_ + begin, bytes);
  used_bytes_ = end;
  live_bytes_ += bytes;
  pieces_[base_ + begin] = bytes;
  return base_ + begin;
}

bool Region::give_back(void* piece) {
  const auto found = pieces_.find(static_cast<char*>(piece));
  if (found == pieces_.end()) return false;
  asan::poison(piece, found->second);
  race::freed(piece, found->second);
  live_bytes_ -= found->second;
  pieces_.erase(found);
  if (pieces_.empty()) used_bytes_ = 0;
  return true;
}

void Region::clear() {
  while (!pieces_.empty()) give_back(const_cast<char*>(pieces_.begin()->first));
}

void Region::open() const {
  for (const auto& [address, bytes] : pieces_) asan::unpoison(address, bytes);
}
void Region::close() const {
  for (const auto& [address, bytes] : pieces_) asan::poison(address, bytes);
}

Region::Pieces::const_iterator Region::piece_before(const char* address) const {
  const auto after = pieces_.upper_bound(address);
  return after == pieces_.begin() ? pieces_.end() : std::prev(after);
}

bool Region::holds(const void* address, std::size_t bytes) const {
  const auto* first = static_cast<const char*>(address);
  const auto piece = piece_before(first);
  return piece != pieces_.end() && first + bytes <= piece->first + piece->second;
}

const char* Region::describe(const void* address) const {
  const auto* byte = static_cast<const char*>(address);
  const auto piece = piece_before(byte);
  if (piece == pieces_.end()) return keep(std::string("no ") + noun_);
  return keep("byte " + std::to_string(byte - piece->first) + " of a " + noun_ + " of " +
              std::to_string(piece->second) + " bytes");
}

Region& shared_region() {
  static Region region("shared array", std::size_t{16} << 20, 1024);
  return region;
}
Region& device_region() {
  static Region region("device allocation", std::size_t{32} << 30, 64 << 10);
  return region;
}

}  // namespace zhgpt::simt
