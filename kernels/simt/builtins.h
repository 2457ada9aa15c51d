// CUDA's names for kernels compiled by the host compiler: what nvcc would know by itself.
//
// Whatever can be misused takes the caller's source line as a default argument, so that a fault names it.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "simt/collectives.h"
#include "simt/memory.h"

#undef __launch_bounds__
#define __launch_bounds__(...)
// A shared variable of the host compiler would be one for all blocks and never checked.
#undef __shared__
#define __shared__ _Pragma("GCC error \"use ZHGPT_SHARED or SharedArena\"")

#define threadIdx (::zhgpt::simt::current->index)
#define blockIdx (::zhgpt::simt::block().index())
#define blockDim (::zhgpt::simt::block().kernel().block)
#define gridDim (::zhgpt::simt::block().kernel().grid)
#define warpSize 32

// ---- together ---------------------------------------------------------------------------------------------

#define ZHGPT_WHERE ::zhgpt::simt::Where where = ::zhgpt::simt::Where::current()

__forceinline__ void __syncthreads(ZHGPT_WHERE) {
  zhgpt::simt::barrier(0, zhgpt::simt::block().size(), false, "__syncthreads", where);
}
__forceinline__ int __syncthreads_count(int vote, ZHGPT_WHERE) {
  return static_cast<int>(
      zhgpt::simt::barrier(0, zhgpt::simt::block().size(), vote != 0, "__syncthreads_count", where));
}
__forceinline__ int __syncthreads_or(int vote, ZHGPT_WHERE) {
  return __syncthreads_count(vote, where) != 0;
}
__forceinline__ int __syncthreads_and(int vote, ZHGPT_WHERE) {
  return __syncthreads_count(vote, where) == static_cast<int>(zhgpt::simt::block().size());
}
__forceinline__ void __syncwarp(unsigned mask = ~0u, ZHGPT_WHERE) {
  zhgpt::simt::warp_barrier(mask, where);
}

__forceinline__ unsigned __ballot_sync(unsigned mask, int vote, ZHGPT_WHERE) {
  return zhgpt::simt::ballot(mask, vote != 0, "__ballot_sync", where);
}
__forceinline__ int __any_sync(unsigned mask, int vote, ZHGPT_WHERE) {
  return zhgpt::simt::ballot(mask, vote != 0, "__any_sync", where) != 0;
}
__forceinline__ int __all_sync(unsigned mask, int vote, ZHGPT_WHERE) {
  return zhgpt::simt::ballot(mask, vote != 0, "__all_sync", where) == mask;
}

// `width`, a power of two, cuts the warp into segments; a lane whose source lies outside keeps its value.
template <class T>
__forceinline__ T __shfl_sync(unsigned mask, T value, int source, int width = 32, ZHGPT_WHERE) {
  const int segment = static_cast<int>(zhgpt::simt::current->lane()) & ~(width - 1);
  T result = value;
  zhgpt::simt::shuffle(mask, static_cast<unsigned>(segment | (source & (width - 1))), &value, &result,
                       sizeof(T), "__shfl_sync", where);
  return result;
}
template <class T>
__forceinline__ T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, ZHGPT_WHERE) {
  const int lane = static_cast<int>(zhgpt::simt::current->lane()), source = lane ^ lane_mask;
  T result = value;
  zhgpt::simt::shuffle(mask, static_cast<unsigned>(source > (lane | (width - 1)) ? lane : source), &value,
                       &result, sizeof(T), "__shfl_xor_sync", where);
  return result;
}
template <class T>
__forceinline__ T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, ZHGPT_WHERE) {
  const int lane = static_cast<int>(zhgpt::simt::current->lane()), source = lane - static_cast<int>(delta);
  T result = value;
  zhgpt::simt::shuffle(mask, static_cast<unsigned>(source < (lane & ~(width - 1)) ? lane : source), &value,
                       &result, sizeof(T), "__shfl_up_sync", where);
  return result;
}
template <class T>
__forceinline__ T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, ZHGPT_WHERE) {
  const int lane = static_cast<int>(zhgpt::simt::current->lane()), source = lane + static_cast<int>(delta);
  T result = value;
  zhgpt::simt::shuffle(mask, static_cast<unsigned>(source > (lane | (width - 1)) ? lane : source), &value,
                       &result, sizeof(T), "__shfl_down_sync", where);
  return result;
}

// ---- memory -----------------------------------------------------------------------------------------------

namespace zhgpt::simt {

// One thread runs at a time, so an atomic is a plain read and write that the race checker hears of as one.
template <class T, class Update>
__forceinline__ T atomic_update(T* address, Update update, const char* name, Where where) {
  atomic_access(address, sizeof(T), name, where);
  T old;
  raw_copy(&old, address, sizeof(T));
  const T fresh = update(old);
  raw_copy(address, &fresh, sizeof(T));
  return old;
}

}  // namespace zhgpt::simt

#define ZHGPT_SIMT_ATOMIC(name, fresh)                                             \
  template <class T>                                                               \
  __forceinline__ T name(T* address, std::type_identity_t<T> value, ZHGPT_WHERE) { \
    return zhgpt::simt::atomic_update(                                             \
        address, [&](T old) { return static_cast<T>(fresh); }, #name, where);      \
  }
ZHGPT_SIMT_ATOMIC(atomicAdd, old + value)
ZHGPT_SIMT_ATOMIC(atomicMax, old > value ? old : value)
ZHGPT_SIMT_ATOMIC(atomicMin, old < value ? old : value)
ZHGPT_SIMT_ATOMIC(atomicOr, old | value)
ZHGPT_SIMT_ATOMIC(atomicExch, ((void)old, value))
#undef ZHGPT_SIMT_ATOMIC
template <class T>
__forceinline__ T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value,
                            ZHGPT_WHERE) {
  return zhgpt::simt::atomic_update(
      address, [&](T old) { return old == expected ? value : old; }, "atomicCAS", where);
}

template <class T>
__forceinline__ T __ldg(const T* address) {
  return *address;
}
template <class T>
__forceinline__ T __ldcs(const T* address) {
  return *address;
}
template <class T>
__forceinline__ void __stcs(T* address, std::type_identity_t<T> value) {
  *address = value;
}
template <class T>
__forceinline__ void __stwb(T* address, std::type_identity_t<T> value) {
  *address = value;
}
inline void __threadfence() {}
inline void __threadfence_block() {}

// ---- arithmetic -------------------------------------------------------------------------------------------
// The host's functions are exact where the device approximates: compare with tolerances.

using std::isfinite;
using std::isnan;
using std::max;
using std::min;

// glibc declares these names without defining them.
#define __expf(x) ::expf(x)
#define __logf(x) ::logf(x)
inline float rsqrtf(float x) {
  return 1.f / std::sqrt(x);
}
inline float __fdividef(float x, float y) {
  return x / y;
}
inline float __fmaf_rn(float x, float y, float z) {
  return std::fma(x, y, z);
}
inline double __fma_rn(double x, double y, double z) {
  return std::fma(x, y, z);
}
inline int __float_as_int(float x) {
  return std::bit_cast<int>(x);
}
inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
inline float __int_as_float(int x) {
  return std::bit_cast<float>(x);
}
inline float __uint_as_float(unsigned x) {
  return std::bit_cast<float>(x);
}
inline int __popc(unsigned x) {
  return std::popcount(x);
}
inline int __clz(int x) {
  return std::countl_zero(static_cast<unsigned>(x));
}
inline int __ffs(int x) {
  return __builtin_ffs(x);
}
inline unsigned __umulhi(unsigned x, unsigned y) {
  return static_cast<unsigned>((std::uint64_t{x} * y) >> 32);
}
