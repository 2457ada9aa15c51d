// Counts what operator new hands out, so that a test can bound it, and fails where a test asks for it.
#include "io/memory_counter.h"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<std::int64_t> live_bytes, peak_bytes;
std::atomic<std::int64_t> calls, first_failing = INT64_MAX, last_failing = INT64_MAX;
}  // namespace

namespace zhgpt::test {
void reset_peak_memory() {
  peak_bytes = live_bytes.load();
}
std::int64_t peak_memory() {
  return peak_bytes;
}
std::int64_t live_memory() {
  return live_bytes;
}

AllocationFault::AllocationFault(std::int64_t at, bool for_ever) {
  calls = 0;
  last_failing = for_ever ? INT64_MAX : at;
  first_failing = at;
}
AllocationFault::~AllocationFault() {
  first_failing = INT64_MAX;
}
bool AllocationFault::happened() const {
  return calls >= first_failing;
}
}  // namespace zhgpt::test

void* operator new(std::size_t size) {
  const std::int64_t call = ++calls;
  if (call >= first_failing && call <= last_failing) throw std::bad_alloc();
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
void operator delete(void* memory, std::size_t) noexcept {
  operator delete(memory);
}
