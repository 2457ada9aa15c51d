// operator new and delete that do what the library's do, and count. They are weak: whoever has others, as
// sanitizers and tests do, has theirs.
#include "cli/allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<bool> counts{false};
std::atomic<std::int64_t> count{0};

}  // namespace

[[gnu::weak]] void* operator new(std::size_t bytes) {
  if (counts.load(std::memory_order_relaxed)) count.fetch_add(1, std::memory_order_relaxed);
  for (;;) {
    if (void* memory = std::malloc(bytes ? bytes : 1)) return memory;
    const std::new_handler handler = std::get_new_handler();
    if (!handler) throw std::bad_alloc();
    handler();
  }
}
[[gnu::weak]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::weak]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace zhgpt::cli {

std::int64_t allocations() {
  counts.store(true, std::memory_order_relaxed);
  return count.load(std::memory_order_relaxed);
}

}  // namespace zhgpt::cli
