// LinearForward, LinearBackwardInput, LinearBackwardWeight: dense products with what belongs to them in their
// epilogues; the bias gradient is a sum over rows of our own.
//
//   forward  out (N, OC) = inp (N, C) . weight (OC, C)^T + bias (OC); with pre_gelu that sum is saved, and
//   out
//            is its GELU
//   input    dinp (N, C) = dout (N, OC) . weight, times gelu'(pre_gelu)
//   weight   dweight (OC, C) += dout^T . inp; dbias (OC) += column sums of dout
//
// The column sums go in two passes, whose order N and OC alone decide: rows in slabs, then the slabs.
#include "cuda/launch.cuh"
#include "cuda/ops.h"
#include "cuda/packs.cuh"

namespace zhgpt::cuda {
namespace {

using Epilogue = Product::Epilogue;

// First pass: a block takes kSlabRows rows of kAcross * kWidth columns; thread (row, across) every kDown-th
// of the rows. With 128-bit reads of bf16 a row of the tile is 256 bytes, and a thread has eight reads in
// flight.
constexpr int kAcross = 16, kDown = 16, kSlabRows = 128;
// Second pass: a block takes 32 columns, its threads every kSlabsAtOnce-th slab of them.
constexpr int kSlabsAtOnce = 16;

// Block (slab, tile of columns): partial[slab, columns] (slabs, OC) = sums of dout (N, OC) over the slab's
// rows.
template <class T, int kWidth>
__global__ void __launch_bounds__(kAcross* kDown)
    column_sums_kernel(float* partial, const T* dout, std::int64_t N, std::int64_t OC) {
  ZHGPT_SHARED(float, of_row, [kDown][kAcross * kWidth]);
  const int across = static_cast<int>(threadIdx.x) % kAcross, down = static_cast<int>(threadIdx.x) / kAcross;
  const std::int64_t first_column = static_cast<std::int64_t>(blockIdx.y) * (kAcross * kWidth);
  const std::int64_t column = first_column + across * kWidth;
  const std::int64_t first_row = static_cast<std::int64_t>(blockIdx.x) * kSlabRows + down;
  float sums[kWidth] = {};
  if (column < OC) {
    Pack<T, kWidth> packs[kSlabRows / kDown];  // all read before the first is needed
#pragma unroll
    for (int r = 0; r < kSlabRows / kDown; ++r) {
      const std::int64_t row = first_row + r * kDown;
      packs[r] = row < N ? load_pack<kWidth>(dout + row * OC + column) : Pack<T, kWidth>{};
    }
#pragma unroll
    for (const auto& pack : packs) {
#pragma unroll
      for (int i = 0; i < kWidth; ++i) sums[i] += to_float(pack[i]);
    }
  }
#pragma unroll
  for (int i = 0; i < kWidth; ++i) of_row[down][across * kWidth + i] = sums[i];
  __syncthreads();  // all rows' sums are there
  const int mine = static_cast<int>(threadIdx.x);
  if (mine >= kAcross * kWidth || first_column + mine >= OC) return;
  float sum = 0;
#pragma unroll
  for (int d = 0; d < kDown; ++d) sum += of_row[d][mine];
  partial[static_cast<std::int64_t>(blockIdx.x) * OC + first_column + mine] = sum;
}

// Block: 32 columns of dbias (OC) += the sums over slabs of partial (slabs, OC); a warp takes every
// kSlabsAtOnce-th slab, a lane a column.
__global__ void __launch_bounds__(kSlabsAtOnce* kWarpSize)
    add_slabs_kernel(float* dbias, const float* partial, std::int64_t slabs, std::int64_t OC) {
  ZHGPT_SHARED(float, of_warp, [kSlabsAtOnce][kWarpSize]);
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kWarpSize + lane_id();
  float sum = 0;
  if (column < OC) {
#pragma unroll 8
    for (std::int64_t s = warp_id(); s < slabs; s += kSlabsAtOnce) sum += partial[s * OC + column];
  }
  of_warp[warp_id()][lane_id()] = sum;
  __syncthreads();  // all warps' sums are there
  if (warp_id() != 0 || column >= OC) return;
  float total = 0;
#pragma unroll
  for (int w = 0; w < kSlabsAtOnce; ++w) total += of_warp[w][lane_id()];
  dbias[column] += total;
}

std::int64_t tiles_of(std::int64_t n, std::int64_t size) {
  return (n + size - 1) / size;
}

// dbias (OC) += column sums of dout (N, OC).
template <class T>
void add_column_sums(Context& context, float* dbias, const T* dout, std::int64_t N, std::int64_t OC) {
  constexpr int kWidth = Pack128<T>::kSize;
  const std::int64_t slabs = tiles_of(N, kSlabRows);
  auto* partial =
      static_cast<float*>(context.scratch.get(static_cast<std::size_t>(slabs * OC) * sizeof(float)));
  const bool vectors = OC % kWidth == 0 && reinterpret_cast<std::uintptr_t>(dout) % 16 == 0;
  const double read = static_cast<double>(N) * static_cast<double>(OC),
               kept = static_cast<double>(slabs) * static_cast<double>(OC);
  const Cost cost{.flops = read, .bytes = read * sizeof(T) + kept * sizeof(float)};
  const auto shape = [&](int width) {
    return LaunchShape{
        dim3(static_cast<unsigned>(slabs), static_cast<unsigned>(tiles_of(OC, kAcross * width))),
        kAcross * kDown};
  };
  if (vectors) {
    ZHGPT_LAUNCH(context.stream, cost, shape(kWidth), (column_sums_kernel<T, kWidth>), partial, dout, N, OC);
  } else {
    ZHGPT_LAUNCH(context.stream, cost, shape(1), (column_sums_kernel<T, 1>), partial, dout, N, OC);
  }
  ZHGPT_LAUNCH(context.stream, (Cost{.flops = kept, .bytes = kept * sizeof(float)}),
               (LaunchShape{static_cast<unsigned>(tiles_of(OC, kWarpSize)), kSlabsAtOnce * kWarpSize}),
               add_slabs_kernel, dbias, partial, slabs, OC);
}

}  // namespace

template <class T>
void execute(Context& context, const LinearForward& op) {
  const std::int64_t N = op.out.dim(0), OC = op.out.dim(1), C = op.inp.dim(1);
  context.matmul.run(context.stream, Product{.m = N,
                                             .n = OC,
                                             .k = C,
                                             .a = {op.inp.data, C},
                                             .b = {op.weight.data, C, true},
                                             .dtype = DTypeOf<T>::value,
                                             .out = op.out.data,
                                             .out_dtype = DTypeOf<T>::value,
                                             .epilogue = op.pre_gelu ? Epilogue::bias_gelu
                                                         : op.bias   ? Epilogue::bias
                                                                     : Epilogue::none,
                                             .bias = op.bias.data,
                                             .pre_gelu = op.pre_gelu.data});
}

template <class T>
void execute(Context& context, const LinearBackwardInput& op) {
  const std::int64_t N = op.dinp.dim(0), C = op.dinp.dim(1), OC = op.dout.dim(1);
  context.matmul.run(context.stream, Product{.m = N,
                                             .n = C,
                                             .k = OC,
                                             .a = {op.dout.data, OC},
                                             .b = {op.weight.data, C},
                                             .dtype = DTypeOf<T>::value,
                                             .out = op.dinp.data,
                                             .out_dtype = DTypeOf<T>::value,
                                             .epilogue = op.pre_gelu ? Epilogue::dgelu : Epilogue::none,
                                             .pre_gelu = op.pre_gelu.data});
}

template <class T>
void execute(Context& context, const LinearBackwardWeight& op) {
  const std::int64_t OC = op.dweight.dim(0), C = op.dweight.dim(1), N = op.inp.dim(0);
  context.matmul.run(context.stream, Product{.m = OC,
                                             .n = C,
                                             .k = N,
                                             .a = {op.dout.data, OC, true},
                                             .b = {op.inp.data, C},
                                             .dtype = DTypeOf<T>::value,
                                             .out = op.dweight.data,
                                             .out_dtype = DType::f32,
                                             .add = true});
  if (op.dbias) add_column_sums(context, op.dbias.as<float>(), op.dout.as<T>(), N, OC);
}

ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(LinearForward)
ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(LinearBackwardInput)
ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(LinearBackwardWeight)

}  // namespace zhgpt::cuda
