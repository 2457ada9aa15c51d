// Reals in packs of kSize elements, computed with as floats: 128-bit accesses where shapes and addresses
// allow them, single elements otherwise. The host chooses; a kernel has kSize as a template parameter.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <type_traits>

#include "cuda/device.cuh"

namespace zhgpt::cuda {

// Elements of T in 128 bits.
template <class T>
constexpr int kWide = 16 / sizeof(T);

// Whether rows of C elements of T, and rows of C floats beside them, consist of aligned packs of kWide<T>.
template <class T>
bool in_packs(std::int64_t C, std::initializer_list<const void*> addresses) {
  return C % kWide<T> == 0 && std::all_of(addresses.begin(), addresses.end(), [](const void* address) {
           return reinterpret_cast<std::uintptr_t>(address) % 16 == 0;
         });
}

// Calls `launch` with kSize as a std::integral_constant: kWide<T>, or 1.
template <class T, class Launch>
void with_pack_size(bool wide, const Launch& launch) {
  if (wide) {
    launch(std::integral_constant<int, kWide<T>>{});
  } else {
    launch(std::integral_constant<int, 1>{});
  }
}

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

// Blocks for so many pieces of work; beyond the bound the blocks go on to further pieces.
inline unsigned blocks_for(std::int64_t work, std::int64_t work_of_block) {
  constexpr std::int64_t kMost = std::int64_t{1} << 20;
  return static_cast<unsigned>(std::min(ceil_div(work, work_of_block), kMost));
}

// This warp among all of a one-dimensional grid, and how many there are.
__device__ __forceinline__ std::int64_t grid_warp() {
  return std::int64_t{blockIdx.x} * warps_in_block() + warp_id();
}
__device__ __forceinline__ std::int64_t warps_in_grid() {
  return std::int64_t{gridDim.x} * warps_in_block();
}

// store128 to global memory that nvcc cannot take apart: behind a branch or in an unrolled loop it makes four
// stores of 32 bits of a plain one now and then. Write-back is what plain stores do.
template <class T>
__device__ __forceinline__ void store128_whole(T* address, const Pack128<T>& pack) {
  __stwb(detail::as_128_bits<uint4>(address), detail::same_bits<uint4>(pack));
}

// 128 bits of global memory, or a single element. REQUIRES: kSize is 1 or kWide<T>, and then an address that
// is a multiple of 16 bytes.
template <int kSize, class T>
__device__ __forceinline__ Pack<T, kSize> load_pack(const T* address) {
  if constexpr (kSize == 1) {
    return {{*address}};
  } else {
    return load128(address);
  }
}
template <int kSize, class T>
__device__ __forceinline__ void store_pack(T* address, const Pack<T, kSize>& pack) {
  if constexpr (kSize == 1) {
    *address = pack[0];
  } else {
    store128(address, pack);
  }
}

// The same as floats. REQUIRES: kSize is 1, or a multiple of kWide<T> with an address that is a multiple of
// 16 bytes.
template <int kSize, class T>
__device__ __forceinline__ Pack<float, kSize> load_floats(const T* address) {
  Pack<float, kSize> x;
  if constexpr (kSize == 1) {
    x[0] = to_float(*address);
  } else {
#pragma unroll
    for (int i = 0; i < kSize; i += kWide<T>) {
      const Pack128<T> part = load128(address + i);
#pragma unroll
      for (int k = 0; k < kWide<T>; ++k) x[i + k] = to_float(part[k]);
    }
  }
  return x;
}
template <int kSize, class T>
__device__ __forceinline__ void store_floats(T* address, const Pack<float, kSize>& x) {
  if constexpr (kSize == 1) {
    *address = from_float<T>(x[0]);
  } else {
#pragma unroll
    for (int i = 0; i < kSize; i += kWide<T>) {
      Pack128<T> part;
#pragma unroll
      for (int k = 0; k < kWide<T>; ++k) part[k] = from_float<T>(x[i + k]);
      store128_whole(address + i, part);
    }
  }
}

template <int kSize>
__device__ __forceinline__ Pack<float, kSize> zeros() {
  Pack<float, kSize> x;
#pragma unroll
  for (int k = 0; k < kSize; ++k) x[k] = 0;
  return x;
}
template <int kSize>
__device__ __forceinline__ void add(Pack<float, kSize>& sum, const Pack<float, kSize>& x) {
#pragma unroll
  for (int k = 0; k < kSize; ++k) sum[k] += x[k];
}

// Each lane's packs added over the block's kWarps warps, in their order. Every thread calls; warp 0 gets the
// sums.
template <int kWarps, int kSize>
__device__ __forceinline__ Pack<float, kSize> sum_of_warps(const Pack<float, kSize>& x) {
  ZHGPT_SHARED(float, of_warp, [kWarps][kSize][kWarpSize]);
#pragma unroll
  for (int k = 0; k < kSize; ++k) of_warp[warp_id()][k][lane_id()] = x[k];
  __syncthreads();  // all warps' packs are there
  Pack<float, kSize> sum = x;
  if (warp_id() == 0) {
#pragma unroll
    for (int k = 0; k < kSize; ++k) {
#pragma unroll
      for (int warp = 1; warp < kWarps; ++warp) sum[k] += of_warp[warp][k][lane_id()];
    }
  }
  __syncthreads();  // all are read: the next call may overwrite them
  return sum;
}

}  // namespace zhgpt::cuda
