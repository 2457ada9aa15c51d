// The warp's matrix instructions and asynchronous copies, done by the host. See kernels/cuda/tensor_core.cuh.
#pragma once

#include <cstdint>

#include "simt/site.h"

namespace zhgpt::simt {

// Loads 2 or 4 matrices of 8x8 2-byte elements; lane 8 m + i gives the address of row i of matrix m.
void ldmatrix(std::uint32_t* result, const void* row, unsigned matrices, bool transposed, Where where);
// d += a b, m16n8k16, bf16 to float.
void mma_m16n8k16(float* d, const std::uint32_t* a, const std::uint32_t* b, Where where);

// Takes the bytes at once, fills the target with NaN, and lets them land when the thread waits for them.
void cp_async16(void* to, const void* from, bool valid, Where where);
void cp_async_commit();
void cp_async_wait(unsigned groups_left, Where where);

}  // namespace zhgpt::simt
