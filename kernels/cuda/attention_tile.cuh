// Tiles of heads in shared memory and their products on tensor cores, for attention_bf16.cu.
//
// A warp owns kRowsOfWarp rows of its block's kRows and goes through tiles of streamed rows that the block
// shares. A product's result, in the registers of d, is as it lies the operand a of the next product: scores
// never leave the registers. T. Dao, "FlashAttention-2", 2023.
#pragma once

#include "cuda/attention.cuh"
#include "cuda/tensor_core.cuh"

namespace zhgpt::cuda {

template <int kHeadSize>  // that of the model, or the next of 32, 64, 96, 128; the rest of a row is zeros
struct WarpTile {
  static constexpr int kWidth = kHeadSize;
  static constexpr int kWarps = 4, kThreads = kWarps * kWarpSize;
  // Each streamed fragment that is read from shared memory serves all of a warp's row tiles, and shared
  // memory is what limits mma: two where the sums leave registers for it.
  static constexpr int kRowTiles = kWidth <= 64 ? 2 : 1;
  static constexpr int kRowsOfWarp = 16 * kRowTiles, kRows = kWarps * kRowsOfWarp;
  // An odd number of 16-byte chunks, so that the 8 rows of a matrix lie in different banks.
  static constexpr int kStride = kWidth + 8;
  static constexpr int kChunks = kWidth / 8;

  template <int kColumns>
  using Scores = float[kRowTiles][kColumns / 8][4];  // (kRowsOfWarp, kColumns) in fragments of d
  using Sums = Scores<kWidth>;                       // (kRowsOfWarp, kWidth)
  using OfRows = float[kRowTiles][2];                // a number for each row of Scores

  // Row of Scores within the warp, and column of element e of fragment n.
  __device__ static int row(int m, int half) { return 16 * m + 8 * half + lane_id() / 4; }
  __device__ static int column(int n, int e) { return 8 * n + 2 * (lane_id() % 4) + e % 2; }

  // Begins to copy `count` rows of a head from row `first` on; what lies beyond T or HS becomes zero.
  template <int count>
  __device__ static void fetch(bf16* tile, const bf16* head, std::int64_t stride, int first,
                               const Heads& heads) {
    // One address for each thread; the others lie the same steps further for all, which takes no registers.
    constexpr int kAcross = kThreads % kChunks == 0 ? kChunks : 4, kDown = kThreads / kAcross;
    static_assert(count % kDown == 0 && kChunks % kAcross == 0);
    const int r = static_cast<int>(threadIdx.x) / kAcross, c = static_cast<int>(threadIdx.x) % kAcross * 8;
    const bf16* from = head + (first + r) * stride + c;
    bf16* to = tile + r * kStride + c;
#pragma unroll
    for (int down = 0; down < count; down += kDown) {
#pragma unroll
      for (int across = 0; across < kWidth; across += 8 * kAcross) {
        const bool inside = first + r + down < heads.T && c + across < heads.HS;
        cp_async16(to + down * kStride + across, from + down * stride + across, inside);
      }
    }
  }

  // Operand a: the 16 rows and 16 columns from `corner` on.
  __device__ static void load_a(std::uint32_t (&a)[4], const bf16* corner) {
    ldmatrix_x4(a, corner + lane_id() % 16 * kStride + lane_id() / 16 * 8);
  }
  // scores += a . b^T over 16 columns of 16 kRowTiles rows a and of kColumns rows b.
  template <int kColumns>
  __device__ static void multiply_16(Scores<kColumns>& scores, const std::uint32_t (&a)[kRowTiles][4],
                                     const bf16* b) {
    const bf16* lane_row = b + (lane_id() % 8 + lane_id() / 16 * 8) * kStride + lane_id() / 8 % 2 * 8;
#pragma unroll
    for (int n = 0; n < kColumns / 16; ++n) {
      std::uint32_t of_b[4];
      ldmatrix_x4(of_b, lane_row + 16 * n * kStride);
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
        mma_m16n8k16(scores[m][2 * n], a[m], of_b[0], of_b[1]);
        mma_m16n8k16(scores[m][2 * n + 1], a[m], of_b[2], of_b[3]);
      }
    }
  }
  // scores = a . b^T for the warp's rows a and kColumns rows b.
  template <int kColumns>
  __device__ static void multiply(Scores<kColumns>& scores, const bf16* a, const bf16* b) {
    clear(scores);
#pragma unroll
    for (int k = 0; k < kWidth; k += 16) {
      std::uint32_t of_a[kRowTiles][4];
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) load_a(of_a[m], a + 16 * m * kStride + k);
      multiply_16<kColumns>(scores, of_a, b + k);
    }
  }
  // sums += scores . b for kColumns rows b; the scores are rounded to bf16.
  template <int kColumns>
  __device__ static void add_product(Sums& sums, const Scores<kColumns>& scores, const bf16* b) {
    const bf16* lane_row = b + lane_id() % 16 * kStride + lane_id() / 16 * 8;
#pragma unroll
    for (int k = 0; k < kColumns / 16; ++k) {
      std::uint32_t a[kRowTiles][4];
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
        for (int part = 0; part < 4; ++part) {
          const float(&of)[4] = scores[m][2 * k + part / 2];
          a[m][part] = pack_bf16(of[part % 2 * 2], of[part % 2 * 2 + 1]);
        }
      }
#pragma unroll
      for (int n = 0; n < kWidth / 16; ++n) {
        std::uint32_t of_b[4];
        ldmatrix_x4_trans(of_b, lane_row + 16 * k * kStride + 16 * n);
#pragma unroll
        for (int m = 0; m < kRowTiles; ++m) {
          mma_m16n8k16(sums[m][2 * n], a[m], of_b[0], of_b[1]);
          mma_m16n8k16(sums[m][2 * n + 1], a[m], of_b[2], of_b[3]);
        }
      }
    }
  }
  template <int kFragments>
  __device__ static void clear(float (&scores)[kRowTiles][kFragments][4]) {
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
      for (int n = 0; n < kFragments; ++n) {
#pragma unroll
        for (int e = 0; e < 4; ++e) scores[m][n][e] = 0;
      }
    }
  }

  // The sums, times a factor for each row, to the rows of a head from `first` on. They go by way of the
  // warp's own rows of shared memory, which it alone uses, so that global memory is written 16 bytes at a
  // time.
  __device__ static void store(bf16* head, std::int64_t stride, int first, const Heads& heads, bf16* own,
                               const Sums& sums, const OfRows& factor) {
    __syncwarp();  // all lanes have read their rows
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
      for (int n = 0; n < kWidth / 8; ++n) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          *reinterpret_cast<std::uint32_t*>(own + row(m, half) * kStride + column(n, 0)) =
              pack_bf16(sums[m][n][2 * half] * factor[m][half], sums[m][n][2 * half + 1] * factor[m][half]);
        }
      }
    }
    __syncwarp();  // the rows are complete
#pragma unroll
    for (int i = 0; i < kRowsOfWarp * kChunks / kWarpSize; ++i) {
      const int chunk = lane_id() + i * kWarpSize, r = chunk / kChunks, c = chunk % kChunks * 8;
      if (first + r < heads.T && c < heads.HS) {
        store128(head + (first + r) * stride + c, load128(own + r * kStride + c));
      }
    }
  }
  // Combines the four lanes that share a row; all of them get the result.
  template <class Op>
  __device__ static float reduce_row(float value, Op op) {
    value = op(value, __shfl_xor_sync(kFullWarp, value, 1));
    return op(value, __shfl_xor_sync(kFullWarp, value, 2));
  }
};

}  // namespace zhgpt::cuda
