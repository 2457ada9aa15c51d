// What every CPU operation works with: the threads, and scratch memory that is grown once and kept.
#pragma once

#include <sys/mman.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "cpu/thread_pool.h"

namespace zhgpt::cpu {

// Memory aligned to 256 bytes, or for large blocks to huge pages, which are asked for: the products walk over
// many rows at once, each on a page of its own. To be released by std::free; nullptr when there is no room.
inline void* allocate_aligned(std::size_t bytes) {
  constexpr std::size_t kAlign = 256, kHugePage = std::size_t{2} << 20;
  const bool large = bytes >= 2 * kHugePage;
  const std::size_t align = large ? kHugePage : kAlign, rounded = (bytes + align - 1) / align * align;
  void* data = std::aligned_alloc(align, rounded);
  if (data && large) madvise(data, rounded, MADV_HUGEPAGE);  // advice only
  return data;
}

// One block of memory without initial contents; asking for more than ever before moves it.
class Scratch {
 public:
  template <class T>
  T* get(std::int64_t count) {
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    if (bytes > bytes_) {
      data_.reset();
      data_.reset(allocate_aligned(bytes));
      bytes_ = data_ ? bytes : 0;
      if (!data_) throw std::bad_alloc();
    }
    return static_cast<T*>(data_.get());
  }

 private:
  struct Free {
    void operator()(void* data) const { std::free(data); }
  };
  std::unique_ptr<void, Free> data_;
  std::size_t bytes_ = 0;
};

struct Context {
  explicit Context(int threads) : pool(threads), own(static_cast<std::size_t>(threads)) {}

  ThreadPool pool;
  Scratch shared;            // for what one phase of an operation hands to the next
  std::vector<Scratch> own;  // [thread], for what a tile needs while it is computed

  // Grows every thread's scratch before tiles are shared out: which thread gets one is chance, and a step
  // after the first must not take memory.
  template <class T>
  void reserve(std::int64_t count) {
    for (Scratch& scratch_of_thread : own) scratch_of_thread.get<T>(count);
  }
  // REQUIRES: at most what was reserved.
  template <class T>
  T* scratch(int thread, std::int64_t count) {
    return own[static_cast<std::size_t>(thread)].get<T>(count);
  }
};

// Tile `tile` of [0, n) cut into pieces of `size`.
struct Tile {
  std::int64_t begin, count;
  Tile(std::int64_t tile, std::int64_t size, std::int64_t n)
      : begin(tile * size), count(n - begin < size ? n - begin : size) {}
};
inline std::int64_t tiles_of(std::int64_t n, std::int64_t size) {
  return (n + size - 1) / size;
}

}  // namespace zhgpt::cpu
