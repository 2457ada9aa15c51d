// What GCC calls from code compiled with -fsanitize=thread. Linking instrumented code brings this file in.
#include "simt/race.h"

namespace race = zhgpt::simt::race;

#define ZHGPT_TSAN_ACCESS(name, bytes, kind)                                       \
  void __tsan_##name(void* address) {                                              \
    race::access(address, bytes, race::Access::kind, __builtin_return_address(0)); \
  }
#define ZHGPT_TSAN_SIZE(bytes)                          \
  ZHGPT_TSAN_ACCESS(read##bytes, bytes, read)           \
  ZHGPT_TSAN_ACCESS(write##bytes, bytes, write)         \
  ZHGPT_TSAN_ACCESS(unaligned_read##bytes, bytes, read) \
  ZHGPT_TSAN_ACCESS(unaligned_write##bytes, bytes, write)
// Atomics of the host code that is compiled along: they are only done.
#define ZHGPT_TSAN_ATOMIC(bits, T)                                                          \
  T __tsan_atomic##bits##_load(const volatile T* a, int) {                                  \
    return __atomic_load_n(a, __ATOMIC_SEQ_CST);                                            \
  }                                                                                         \
  void __tsan_atomic##bits##_store(volatile T* a, T v, int) {                               \
    __atomic_store_n(a, v, __ATOMIC_SEQ_CST);                                               \
  }                                                                                         \
  T __tsan_atomic##bits##_exchange(volatile T* a, T v, int) {                               \
    return __atomic_exchange_n(a, v, __ATOMIC_SEQ_CST);                                     \
  }                                                                                         \
  T __tsan_atomic##bits##_fetch_add(volatile T* a, T v, int) {                              \
    return __atomic_fetch_add(a, v, __ATOMIC_SEQ_CST);                                      \
  }                                                                                         \
  T __tsan_atomic##bits##_fetch_sub(volatile T* a, T v, int) {                              \
    return __atomic_fetch_sub(a, v, __ATOMIC_SEQ_CST);                                      \
  }                                                                                         \
  T __tsan_atomic##bits##_fetch_and(volatile T* a, T v, int) {                              \
    return __atomic_fetch_and(a, v, __ATOMIC_SEQ_CST);                                      \
  }                                                                                         \
  T __tsan_atomic##bits##_fetch_or(volatile T* a, T v, int) {                               \
    return __atomic_fetch_or(a, v, __ATOMIC_SEQ_CST);                                       \
  }                                                                                         \
  T __tsan_atomic##bits##_fetch_xor(volatile T* a, T v, int) {                              \
    return __atomic_fetch_xor(a, v, __ATOMIC_SEQ_CST);                                      \
  }                                                                                         \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile T* a, T* e, T v, int, int) {   \
    return __atomic_compare_exchange_n(a, e, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
  }                                                                                         \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile T* a, T* e, T v, int, int) {     \
    return __atomic_compare_exchange_n(a, e, v, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);  \
  }

extern "C" {
void __tsan_init() {
  race::enabled = true;
}  // a constructor of every instrumented file
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_atomic_thread_fence(int) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
void __tsan_atomic_signal_fence(int) {}

ZHGPT_TSAN_ACCESS(read1, 1, read)
ZHGPT_TSAN_ACCESS(write1, 1, write)
ZHGPT_TSAN_SIZE(2)
ZHGPT_TSAN_SIZE(4)
ZHGPT_TSAN_SIZE(8)
ZHGPT_TSAN_SIZE(16)
void __tsan_read_range(void* address, unsigned long bytes) {
  race::access(address, bytes, race::Access::read, __builtin_return_address(0));
}
void __tsan_write_range(void* address, unsigned long bytes) {
  race::access(address, bytes, race::Access::write, __builtin_return_address(0));
}

ZHGPT_TSAN_ATOMIC(8, unsigned char)
ZHGPT_TSAN_ATOMIC(16, unsigned short)
ZHGPT_TSAN_ATOMIC(32, unsigned int)
ZHGPT_TSAN_ATOMIC(64, unsigned long)
}
