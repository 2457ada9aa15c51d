// AddressSanitizer's interface, as weak symbols: one build of the runtime serves programs with and without
// it. The runtime itself is never instrumented; it only tells ASan what instrumented kernels may touch.
#pragma once

#include <cstddef>

extern "C" {
[[gnu::weak]] void __asan_poison_memory_region(const volatile void* address, std::size_t bytes);
[[gnu::weak]] void __asan_unpoison_memory_region(const volatile void* address, std::size_t bytes);
[[gnu::weak]] void* __asan_region_is_poisoned(void* address, std::size_t bytes);
[[gnu::weak]] void __sanitizer_start_switch_fiber(void** fake_stack, const void* bottom, std::size_t bytes);
[[gnu::weak]] void __sanitizer_finish_switch_fiber(void* fake_stack, const void** bottom, std::size_t* bytes);
}

namespace zhgpt::simt::asan {

inline bool present() {
  return __asan_poison_memory_region != nullptr;
}
inline void poison(const void* address, std::size_t bytes) {
  if (present()) __asan_poison_memory_region(address, bytes);
}
inline void unpoison(const void* address, std::size_t bytes) {
  if (present()) __asan_unpoison_memory_region(address, bytes);
}
inline bool poisoned(const void* address, std::size_t bytes) {
  return present() && __asan_region_is_poisoned(const_cast<void*>(address), bytes) != nullptr;
}

}  // namespace zhgpt::simt::asan
