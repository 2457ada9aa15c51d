// What a kernel file may use: the only CUDA include of kernels/cuda/*.cu.
//
// Under nvcc the names mean the GPU. With ZHGPT_SIMT defined the same file is compiled by the host compiler
// against kernels/simt, which runs every thread of a block as a fiber and checks what a GPU does not: tests
// run real kernels.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef ZHGPT_SIMT
#include "simt/builtins.h"
#endif

// A static shared array of the block: ZHGPT_SHARED(float, tile, [32][33]). On the host an array of its own
// for each block, found by the address of a static of this place; plain __shared__ does not compile there.
#ifdef ZHGPT_SIMT
#define ZHGPT_SHARED(type, name, dimensions)                                    \
  using name##_array = type dimensions;                                         \
  name##_array& name = *static_cast<name##_array*>(::zhgpt::simt::shared_array( \
      []() -> const void* {                                                     \
        static const char tag = 0;                                              \
        return &tag;                                                            \
      }(),                                                                      \
      sizeof(name##_array), alignof(type)))
#else
#define ZHGPT_SHARED(type, name, dimensions) __shared__ type name dimensions
#endif

namespace zhgpt::cuda {

using bf16 = __nv_bfloat16;
using bf162 = __nv_bfloat162;

constexpr int kWarpSize = 32;
constexpr unsigned kFullWarp = 0xffffffffu;

// ---- dynamic shared memory --------------------------------------------------------------------------------

// Bytes of a piece of `count` T, a multiple of 16. A launch asks for the sum over its kernel's pieces.
template <class T>
__host__ __device__ constexpr std::size_t shared_bytes(std::size_t count) {
  return (count * sizeof(T) + 15) / 16 * 16;
}

// N equal pieces, for pipelines. One pointer on the GPU, where an array of them would go to local memory.
template <class T, int N>
struct Stages {
#ifdef ZHGPT_SIMT
  T* pieces[N];
  T* operator[](int i) const {
    return pieces[i];
  }
#else
  T* first;
  std::size_t stride;  // in T
  __device__ __forceinline__ T* operator[](int i) const {
    return first + i * stride;
  }
#endif
};

// Hands out the block's dynamic shared memory from the front. All threads take the same pieces in the same
// order; each begins at a multiple of 16 bytes. On the host every piece is an array of its own, so that
// running from one into the next is seen.
class SharedArena {
 public:
  template <class T>
  __device__ __forceinline__ T* take(std::size_t count) {
#ifdef ZHGPT_SIMT
    void* piece = simt::shared_piece(used_, count * sizeof(T));
#else
    extern __shared__ __align__(128) unsigned char dynamic_shared_memory[];
    void* piece = dynamic_shared_memory + used_;
#endif
    used_ += shared_bytes<T>(count);
    return static_cast<T*>(piece);
  }
  // N pieces of `count` T each; together shared_bytes<T>(count) * N bytes.
  template <class T, int N>
  __device__ __forceinline__ Stages<T, N> take_stages(std::size_t count) {
#ifdef ZHGPT_SIMT
    Stages<T, N> stages;
    for (T*& piece : stages.pieces) piece = take<T>(count);
    return stages;
#else
    T* first = take<T>(shared_bytes<T>(count) / sizeof(T) * N);
    return {first, shared_bytes<T>(count) / sizeof(T)};
#endif
  }

 private:
  std::size_t used_ = 0;
};

// ---- 128-bit accesses -------------------------------------------------------------------------------------

template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  static constexpr int kSize = N;
  T values[N];
  __host__ __device__ __forceinline__ T& operator[](int i) { return values[i]; }
  __host__ __device__ __forceinline__ const T& operator[](int i) const { return values[i]; }
};
template <class T>
using Pack128 = Pack<T, 16 / sizeof(T)>;

namespace detail {

// Reads or writes all 16 bytes at once; the host runtime refuses an address that the GPU could not.
template <class T>
__device__ __forceinline__ T* as_128_bits(const void* address) {
#ifdef ZHGPT_SIMT
  simt::require_aligned(address, sizeof(T), "128-bit access");
#endif
  return reinterpret_cast<T*>(const_cast<void*>(address));
}
// `from` is by value: of a reference into memory nvcc would copy byte by byte.
template <class To, class From>
__device__ __forceinline__ To same_bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(static_cast<void*>(&to), &from, sizeof to);
  return to;
}

}  // namespace detail

// REQUIRES: address is a multiple of 16 bytes.
template <class T>
__device__ __forceinline__ Pack128<T> load128(const T* address) {
  const uint4 bits = *detail::as_128_bits<const uint4>(address);
  return detail::same_bits<Pack128<T>>(bits);
}
template <class T>
__device__ __forceinline__ void store128(T* address, const Pack128<T>& pack) {
  const uint4 bits = detail::same_bits<uint4>(pack);
  *detail::as_128_bits<uint4>(address) = bits;
}
// For what is used once: it should not push other data out of the cache.
template <class T>
__device__ __forceinline__ Pack128<T> load128_streaming(const T* address) {
  const uint4 bits = __ldcs(detail::as_128_bits<const uint4>(address));
  return detail::same_bits<Pack128<T>>(bits);
}
template <class T>
__device__ __forceinline__ void store128_streaming(T* address, const Pack128<T>& pack) {
  __stcs(detail::as_128_bits<uint4>(address), detail::same_bits<uint4>(pack));
}

// ---- numbers ----------------------------------------------------------------------------------------------

__host__ __device__ __forceinline__ float to_float(float x) {
  return x;
}
__host__ __device__ __forceinline__ float to_float(bf16 x) {
  return __bfloat162float(x);
}
// Rounds to nearest, ties to even.
template <class T>
__host__ __device__ __forceinline__ T from_float(float x);
template <>
__host__ __device__ __forceinline__ float from_float<float>(float x) {
  return x;
}
template <>
__host__ __device__ __forceinline__ bf16 from_float<bf16>(float x) {
  return __float2bfloat16_rn(x);
}
// 2^x to within 2 units in the last place, subnormal results as 0: one instruction, where exp2f takes several.
#ifdef ZHGPT_SIMT
__forceinline__ float exp2_approx(float x) {
  return std::exp2(x);
}
#else
__device__ __forceinline__ float exp2_approx(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}
#endif
// Two bf16 as one register, the first in the low half: an operand of mma.
__device__ __forceinline__ std::uint32_t pack_bf16(float low, float high) {
  return detail::same_bits<std::uint32_t>(__floats2bfloat162_rn(low, high));
}

// ---- the block --------------------------------------------------------------------------------------------
// For one-dimensional blocks of whole warps.

__device__ __forceinline__ int lane_id() {
  return static_cast<int>(threadIdx.x) % kWarpSize;
}
__device__ __forceinline__ int warp_id() {
  return static_cast<int>(threadIdx.x) / kWarpSize;
}
__device__ __forceinline__ int warps_in_block() {
  return static_cast<int>(blockDim.x) / kWarpSize;
}

struct Sum {
  template <class T>
  __device__ __forceinline__ static T identity() {
    return T(0);
  }
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Max {  // of floats
  template <class T>
  __device__ __forceinline__ static T identity() {
    return -T(INFINITY);
  }
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};

// Combines the warp's values as one fixed tree, partners 16, 8, 4, 2, 1 lanes apart, and gives all lanes the
// result. The operation must commute, so that all lanes get the same bits.
template <class Op, class T>
__device__ __forceinline__ T warp_reduce(T value, Op op) {
#pragma unroll
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
    value = op(value, __shfl_xor_sync(kFullWarp, value, distance));
  }
  return value;
}
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
  return warp_reduce(value, Sum{});
}
template <class T>
__device__ __forceinline__ T warp_max(T value) {
  return warp_reduce(value, Max{});
}

// The same over the block: each warp's tree, then one tree over the warps' results. Every thread calls it and
// gets the result.
template <class Op, class T>
__device__ __forceinline__ T block_reduce(T value, Op op) {
  ZHGPT_SHARED(T, of_warp, [kWarpSize]);
  value = warp_reduce(value, op);
  if (lane_id() == 0) of_warp[warp_id()] = value;
  __syncthreads();  // all warps' results are there
  value = lane_id() < warps_in_block() ? of_warp[lane_id()] : Op::template identity<T>();
  __syncthreads();  // all are read: the next call may overwrite them
  return warp_reduce(value, op);
}
template <class T>
__device__ __forceinline__ T block_sum(T value) {
  return block_reduce(value, Sum{});
}
template <class T>
__device__ __forceinline__ T block_max(T value) {
  return block_reduce(value, Max{});
}

// bar.sync: waits for `threads` threads (whole warps) at barrier `id`, 1 to 15; __syncthreads is barrier 0.
#ifdef ZHGPT_SIMT
__forceinline__ void named_barrier(int id, int threads, simt::Where where = simt::Where::current()) {
  simt::barrier(static_cast<unsigned>(id), static_cast<unsigned>(threads), false, "named_barrier", where);
}
#else
__device__ __forceinline__ void named_barrier(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
#endif

}  // namespace zhgpt::cuda
