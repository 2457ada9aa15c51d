// A range of addresses that holds one kind of emulated memory: every piece exactly as long as asked for, with
// gaps between them, so that running out of one piece is never running into the next.
#pragma once

#include <cstddef>
#include <map>

namespace zhgpt::simt {

class Region {
 public:
  // `noun` names a piece in reports. Addresses are only reserved; memory is taken when it is touched.
  Region(const char* noun, std::size_t reserved_bytes, std::size_t gap_bytes);

  // A piece at a multiple of `align`, filled with 0xff: NaN in float, bf16 and double, -1 in integers.
  // nullptr when the addresses are used up.
  void* take(std::size_t bytes, std::size_t align);
  // Its addresses are not used again before the region is empty, so that late uses are seen. False when
  // `piece` is none.
  bool give_back(void* piece);
  void clear();

  // Under ASan pieces are only readable and writable while they are open.
  void open() const;
  void close() const;

  const char* base() const { return base_; }
  std::size_t reserved_bytes() const { return reserved_bytes_; }
  std::size_t live_bytes() const { return live_bytes_; }
  bool contains(const void* address) const {
    return static_cast<const char*>(address) - base_ < static_cast<std::ptrdiff_t>(reserved_bytes_) &&
           address >= base_;
  }
  // Do [address, address + bytes) lie in one living piece?
  bool holds(const void* address, std::size_t bytes) const;
  // "byte 260 of a shared array of 256 bytes", by the nearest living piece that begins before it.
  const char* describe(const void* address) const;

 private:
  using Pieces = std::map<const char*, std::size_t>;  // address, bytes
  Pieces::const_iterator piece_before(const char* address) const;

  const char* noun_;
  char* base_;
  std::size_t reserved_bytes_;
  std::size_t gap_bytes_;
  std::size_t used_bytes_ = 0;
  std::size_t live_bytes_ = 0;
  Pieces pieces_;
};

Region& shared_region();  // the running block's shared memory
Region& device_region();  // cudaMalloc's

}  // namespace zhgpt::simt
