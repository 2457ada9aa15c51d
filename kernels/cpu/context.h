// What every CPU operation works with: the threads, and scratch memory that is grown once and kept.
#pragma once

#include <vector>

#include "cpu/host_memory.h"
#include "cpu/thread_pool.h"
#include "zhgpt/backend.h"

namespace zhgpt::cpu {

// One block of memory without initial contents; asking for more than ever before moves it. Throws
// OutOfMemory.
class Scratch {
 public:
  explicit Scratch(bool dry) : take_(dry ? take_addresses : take_host_memory) {}

  template <class T>
  T* get(std::int64_t count) {
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    if (bytes > bytes_) {
      data_.reset();
      data_ = take_(bytes);
      bytes_ = data_ ? bytes : 0;
      if (!data_) throw OutOfMemory("scratch memory", static_cast<std::int64_t>(bytes));
    }
    return static_cast<T*>(data_.get());
  }
  std::int64_t bytes() const { return static_cast<std::int64_t>(bytes_); }

 private:
  HostMemory (*take_)(std::size_t bytes);
  HostMemory data_;
  std::size_t bytes_ = 0;
};

struct Context {
  // A dry one computes no tiles, and its scratch memory is only addresses.
  explicit Context(int threads, bool dry = false) : pool(threads), shared(dry) {
    pool.skip_tiles(dry);
    for (int thread = 0; thread < threads; ++thread) own.emplace_back(dry);
  }

  ThreadPool pool;
  Scratch shared;            // for what one phase of an operation hands to the next
  std::vector<Scratch> own;  // [thread], for what a tile needs while it is computed

  // Grows every thread's scratch before tiles are shared out: which thread gets one is chance, and a step
  // after the first must not take memory.
  template <class T>
  void reserve(std::int64_t count) {
    for (Scratch& scratch_of_thread : own) scratch_of_thread.get<T>(count);
  }
  std::int64_t scratch_bytes() const {
    std::int64_t bytes = shared.bytes();
    for (const Scratch& scratch_of_thread : own) bytes += scratch_of_thread.bytes();
    return bytes;
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
