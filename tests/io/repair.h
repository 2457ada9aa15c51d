// What an attacker does and an accident does not: changes a checkpoint and makes every hash right again.
//
// Written from checkpoints/FORMAT.md, without the code under test, so that it also proves that the page is enough.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <vector>

#include <xxhash.h>

#include "io/sample.h"

namespace zhgpt::test {

inline std::uint64_t get(const Bytes& bytes, std::size_t at, std::size_t width) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < width; ++i) value |= std::uint64_t{bytes.at(at + i)} << (8 * i);
  return value;
}
inline void put(Bytes& bytes, std::size_t at, std::size_t width, std::uint64_t value) {
  for (std::size_t i = 0; i < width; ++i) bytes.at(at + i) = static_cast<std::uint8_t>(value >> (8 * i));
}
inline std::uint64_t xxh3(const Bytes& bytes, std::size_t at, std::size_t size, std::uint64_t seed = 0) {
  return XXH3_64bits_withSeed(bytes.data() + at, size, seed);
}

// Where things are in a sound checkpoint whose sections have at most one chunk each.
struct Layout {
  struct Record {
    std::size_t at, dims_at, rank, name_length_at, name_at, offset_at, length_at, hash_at, chunk_at, offset, length;
  };
  std::size_t manifest = 0, manifest_bytes = 0, trailer = 0;
  std::vector<Record> records;

  explicit Layout(const Bytes& file) {
    trailer = file.size() - 64;
    manifest = get(file, trailer + 16, 8);
    manifest_bytes = get(file, trailer + 24, 8);
    std::size_t at = manifest + 8;
    for (std::uint64_t i = 0; i < get(file, manifest, 4); ++i) {
      Record r{};
      r.at = at;
      r.dims_at = at + 8;
      r.rank = get(file, at + 6, 2);
      r.name_length_at = r.dims_at + 8 * r.rank;
      r.name_at = r.name_length_at + 2;
      r.offset_at = r.name_at + get(file, r.name_length_at, 2);
      r.length_at = r.offset_at + 8;
      r.hash_at = r.offset_at + 16;
      r.chunk_at = r.offset_at + 24;
      r.offset = get(file, r.offset_at, 8);
      r.length = get(file, r.length_at, 8);
      at = r.chunk_at + (r.length ? 8 : 0);
      records.push_back(r);
    }
    if (at != trailer) throw std::logic_error("the test's reading of the manifest is wrong");
  }
};

inline void repair_hashes(Bytes& file, const Layout& layout) {
  for (std::size_t i = 0; i < layout.records.size(); ++i) {
    const Layout::Record& r = layout.records[i];
    if (r.length) put(file, r.chunk_at, 8, xxh3(file, r.offset, r.length, std::uint64_t{i} << 32));
    put(file, r.hash_at, 8, xxh3(file, r.chunk_at, r.length ? 8 : 0, i));
  }
  put(file, 120, 8, xxh3(file, 0, 120));
  put(file, layout.trailer + 32, 8, xxh3(file, layout.manifest, layout.manifest_bytes));
  put(file, layout.trailer + 40, 8, get(file, 120, 8));
  put(file, layout.trailer + 56, 8, xxh3(file, layout.trailer, 56));
}

}  // namespace zhgpt::test
