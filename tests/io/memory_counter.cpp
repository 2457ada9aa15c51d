// Counts what operator new hands out, so that a test can bound it.
#include "io/memory_counter.h"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<std::int64_t> live_bytes, peak_bytes;
}

namespace zhgpt::test {
void reset_peak_memory() { peak_bytes = live_bytes.load(); }
std::int64_t peak_memory() { return peak_bytes; }
std::int64_t live_memory() { return live_bytes; }
}  // namespace zhgpt::test

void* operator new(std::size_t size) {
  void* memory = std::malloc(size ? size : 1);
  if (!memory) throw std::bad_alloc();
  const std::int64_t live = live_bytes += static_cast<std::int64_t>(malloc_usable_size(memory));
  if (live > peak_bytes) peak_bytes = live;
  return memory;
}
void operator delete(void* memory) noexcept {
  if (memory) live_bytes -= static_cast<std::int64_t>(malloc_usable_size(memory));
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }
