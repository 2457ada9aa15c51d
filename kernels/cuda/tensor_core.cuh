// The warp's matrix instructions and asynchronous copies to shared memory: PTX on the GPU (sm_80 and later),
// done by the host otherwise. Addresses are ordinary pointers. A warp's lanes call ldmatrix and mma together.
//
// Fragments, for lane l with g = l / 4 and t = 2 (l % 4) (PTX ISA, "Matrix fragments for mma.m16n8k16"):
//   a (16, 16): a[0] = (g, t..t+1), a[1] = (g + 8, t..), a[2] = (g, t + 8..), a[3] = (g + 8, t + 8..)
//   b (16, 8):  b0 = rows t..t+1 of column g, b1 = rows t + 8.. of it
//   d (16, 8):  d[0..1] = (g, t..t+1), d[2..3] = (g + 8, t..t+1)
// The first of two bf16 lies in the low half of its register.
#pragma once

#include "cuda/device.cuh"

#ifdef ZHGPT_SIMT
#include "simt/tensor_core.h"
#endif

namespace zhgpt::cuda {

#ifdef ZHGPT_SIMT

// Loads 8x8 matrices of bf16 from shared memory: lane 8 m + i gives the address of row i of matrix m, a
// multiple of 16 bytes. r[m] = elements t..t+1 of row g of matrix m; of column g with _trans.
__forceinline__ void ldmatrix_x2(std::uint32_t (&r)[2], const void* row, ZHGPT_WHERE) {
  simt::ldmatrix(r, row, 2, false, where);
}
__forceinline__ void ldmatrix_x4(std::uint32_t (&r)[4], const void* row, ZHGPT_WHERE) {
  simt::ldmatrix(r, row, 4, false, where);
}
__forceinline__ void ldmatrix_x2_trans(std::uint32_t (&r)[2], const void* row, ZHGPT_WHERE) {
  simt::ldmatrix(r, row, 2, true, where);
}
__forceinline__ void ldmatrix_x4_trans(std::uint32_t (&r)[4], const void* row, ZHGPT_WHERE) {
  simt::ldmatrix(r, row, 4, true, where);
}

// d (16, 8) += a (16, 16) . b (16, 8).
__forceinline__ void mma_m16n8k16(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                  std::uint32_t b1, ZHGPT_WHERE) {
  const std::uint32_t b[2] = {b0, b1};
  simt::mma_m16n8k16(d, a, b, where);
}

// Copies 16 bytes from global to shared memory without waiting, or writes 16 zeros if not `valid` (`global`
// is then not read). Copies since the last commit are a group; wait<n> waits until at most the n newest
// groups are on their way. It waits for this thread's copies only: a barrier must follow before others read.
__forceinline__ void cp_async16(void* shared, const void* global, bool valid = true, ZHGPT_WHERE) {
  simt::cp_async16(shared, global, valid, where);
}
__forceinline__ void cp_async_commit() {
  simt::cp_async_commit();
}
template <int n>
__forceinline__ void cp_async_wait(ZHGPT_WHERE) {
  simt::cp_async_wait(n, where);
}

#else

namespace detail {

__device__ __forceinline__ unsigned shared_address(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

}  // namespace detail

__device__ __forceinline__ void ldmatrix_x2(std::uint32_t (&r)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(detail::shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x4(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(detail::shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x2_trans(std::uint32_t (&r)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(detail::shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x4_trans(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(detail::shared_address(row))
               : "memory");
}

__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                             std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void cp_async16(void* shared, const void* global, bool valid = true) {
  // The number of bytes that are read; the rest of the 16 is filled with zeros.
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(detail::shared_address(shared)),
               "l"(__cvta_generic_to_global(global)), "r"(valid ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void cp_async_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int n>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory");
}

#endif

}  // namespace zhgpt::cuda
