// LayerNormForward: out = (inp - mean) * rstd * weight + bias over rows of C; ResidualLayerNormForward: the
// same of residual = inp + dropout(branch), fused. Saved: mean and rstd, and residual, whose rounded values
// are what is normalised. LayerNormBackward, with norm = (inp - mean) * rstd and dnorm = dout * weight
// (docs/numerics.md):
//   dinp += rstd * (dnorm - mean(dnorm) - norm * mean(dnorm * norm));  dweight += sum of dout * norm over
//   rows; dbias += sum of dout.
//
// Rows of up to 1024 in aligned packs live in the registers of one warp and are read once; other rows are
// read again for each pass by a block. Sums have an order that N and C decide. The variance is a second pass
// over the row, since E[x^2] - E[x]^2 cancels.
#include "cuda/dropout.cuh"
#include "cuda/launch.cuh"
#include "cuda/ops.h"
#include "cuda/packs.cuh"

namespace zhgpt::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarpSize;
constexpr int kMostColumns = 1024;  // of a row in registers
constexpr float kEps = 1e-5f;

// ---- forward ----------------------------------------------------------------------------------------------

// The operands of both forward operations; residual and branch of the second only.
template <class T>
struct Forward {
  T *out, *residual;
  float *mean, *rstd;
  const T *inp, *branch;
  const float *weight, *bias;
  std::int64_t N, C;
  Dropout dropout;
};

template <class T, int kSize>
__device__ __forceinline__ void store_normalised(const Forward<T>& f, std::int64_t n, std::int64_t c,
                                                 Pack<float, kSize> x, float mean, float rstd) {
  const auto weight = load_floats<kSize>(f.weight + c), bias = load_floats<kSize>(f.bias + c);
#pragma unroll
  for (int k = 0; k < kSize; ++k) x[k] = (x[k] - mean) * rstd * weight[k] + bias[k];
  store_floats(f.out + n * f.C + c, x);
}

// What is added to x, rounded as it is stored.
template <class T, int kSize>
__device__ __forceinline__ void add_branch(Pack<float, kSize>& x, Pack<float, kSize> branch,
                                           const DropoutMask& mask, std::int64_t first) {
  mask.apply(branch, first);
#pragma unroll
  for (int k = 0; k < kSize; ++k) x[k] = to_float(from_float<T>(x[k] + branch[k]));
}

template <int kSize>
__device__ __forceinline__ float sum_of(const Pack<float, kSize>& x) {
  float sum = 0;
#pragma unroll
  for (int k = 0; k < kSize; ++k) sum += x[k];
  return sum;
}
template <int kSize>
__device__ __forceinline__ float squares_about(const Pack<float, kSize>& x, float mean) {
  float sum = 0;
#pragma unroll
  for (int k = 0; k < kSize; ++k) sum += (x[k] - mean) * (x[k] - mean);
  return sum;
}

// A warp a row of at most kPacks * 32 packs, lane l the packs l, l + 32, ...: all of the row is asked for
// before any of it is used. Weight and bias come from L1.
template <class T, bool kResidual, int kPacks>
__global__ void __launch_bounds__(kThreads) layernorm_forward_kernel(Forward<T> f) {
  constexpr int kSize = kWide<T>;
  const float columns = static_cast<float>(f.C);
  const DropoutMask mask(f.dropout);
  for (std::int64_t n = grid_warp(); n < f.N; n += warps_in_grid()) {
    const std::int64_t row = n * f.C;
    const int first = lane_id() * kSize;
    Pack<float, kSize> x[kPacks], branch[kPacks];
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      const int c = first + i * kWarpSize * kSize;
      x[i] = c < f.C ? load_floats<kSize>(f.inp + row + c) : zeros<kSize>();
      if constexpr (kResidual) branch[i] = c < f.C ? load_floats<kSize>(f.branch + row + c) : zeros<kSize>();
    }
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      const int c = first + i * kWarpSize * kSize;
      if constexpr (kResidual) {
        if (c < f.C) {
          add_branch<T>(x[i], branch[i], mask, row + c);
          store_floats(f.residual + row + c, x[i]);
        }
      }
      sum += sum_of(x[i]);
    }
    const float mean = warp_sum(sum) / columns;
    float squares = 0;
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      if (first + i * kWarpSize * kSize < f.C) squares += squares_about(x[i], mean);
    }
    const float rstd = 1 / sqrtf(warp_sum(squares) / columns + kEps);
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      const int c = first + i * kWarpSize * kSize;
      if (c < f.C) store_normalised(f, n, c, x[i], mean, rstd);
    }
    if (lane_id() == 0) {
      f.mean[n] = mean;
      f.rstd[n] = rstd;
    }
  }
}

// A block a row of any length. A thread always meets the same columns, so that what it reads again, out of
// the cache, it has written itself.
template <class T, bool kResidual, int kSize>
__global__ void __launch_bounds__(kThreads) layernorm_forward_any_kernel(Forward<T> f) {
  const float columns = static_cast<float>(f.C);
  const DropoutMask mask(f.dropout);
  const std::int64_t first = std::int64_t{threadIdx.x} * kSize, step = kThreads * kSize;
  for (std::int64_t n = blockIdx.x; n < f.N; n += gridDim.x) {
    const std::int64_t row = n * f.C;
    const T* normalised = kResidual ? f.residual : f.inp;
    float sum = 0;
    for (std::int64_t c = first; c < f.C; c += step) {
      auto x = load_floats<kSize>(f.inp + row + c);
      if constexpr (kResidual) {
        add_branch<T>(x, load_floats<kSize>(f.branch + row + c), mask, row + c);
        store_floats(f.residual + row + c, x);
      }
      sum += sum_of(x);
    }
    const float mean = block_sum(sum) / columns;
    float squares = 0;
    for (std::int64_t c = first; c < f.C; c += step) {
      squares += squares_about(load_floats<kSize>(normalised + row + c), mean);
    }
    const float rstd = 1 / sqrtf(block_sum(squares) / columns + kEps);
    for (std::int64_t c = first; c < f.C; c += step) {
      store_normalised(f, n, c, load_floats<kSize>(normalised + row + c), mean, rstd);
    }
    if (threadIdx.x == 0) {
      f.mean[n] = mean;
      f.rstd[n] = rstd;
    }
  }
}

// Calls `launch` with the packs a lane holds of a row of C columns, rounded up to whole 256 columns a warp.
template <class T, class Launch>
void with_packs_of_lane(std::int64_t C, const Launch& launch) {
  constexpr int kPacks = 256 / kWarpSize / kWide<T>;
  if (C <= 256) {
    launch(std::integral_constant<int, kPacks>{});
  } else if (C <= 512) {
    launch(std::integral_constant<int, 2 * kPacks>{});
  } else if (C <= 768) {
    launch(std::integral_constant<int, 3 * kPacks>{});
  } else {
    launch(std::integral_constant<int, 4 * kPacks>{});
  }
}

template <bool kResidual, class T, class Op>
void launch_forward(Stream& stream, const Op& op, Forward<T> f) {
  f.out = op.out.template as<T>();
  f.mean = op.mean.template as<float>();
  f.rstd = op.rstd.template as<float>();
  f.inp = op.inp.template as<T>();
  f.weight = op.weight.template as<float>();
  f.bias = op.bias.template as<float>();
  f.N = op.out.dim(0);
  f.C = op.out.dim(1);
  const auto N = static_cast<double>(f.N), C = static_cast<double>(f.C);
  const Cost cost{.flops = (kResidual ? 9 : 8) * N * C,
                  .bytes = (kResidual ? 4 : 2) * sizeof(T) * N * C + sizeof(float) * (2 * N + 2 * C)};
  const bool wide = in_packs<T>(f.C, {f.out, f.residual, f.inp, f.branch, f.weight, f.bias});
  if (wide && f.C <= kMostColumns) {
    with_packs_of_lane<T>(f.C, [&](auto packs) {
      constexpr int kPacks = decltype(packs)::value;
      ZHGPT_LAUNCH(stream, cost, (LaunchShape{blocks_for(f.N, kWarps), kThreads}),
                   (layernorm_forward_kernel<T, kResidual, kPacks>), f);
    });
  } else {
    with_pack_size<T>(wide, [&](auto size) {
      constexpr int kSize = decltype(size)::value;
      ZHGPT_LAUNCH(stream, cost, (LaunchShape{blocks_for(f.N, 1), kThreads}),
                   (layernorm_forward_any_kernel<T, kResidual, kSize>), f);
    });
  }
}

// ---- backward ---------------------------------------------------------------------------------------------

template <class T>
struct Backward {
  T* dinp;
  const T *dout, *inp;
  const float *mean, *rstd, *weight;
  float* partial;  // (blocks, 2, C) =, dweight and dbias of each block's rows
  std::int64_t N, C;
};

// The two sums of a row that dinp needs, over C.
struct RowMeans {
  float dnorm = 0, dnorm_norm = 0;
};

// Turns x into norm and dy into dnorm, of columns with this weight, and adds to the row's two sums.
template <int kSize>
__device__ __forceinline__ void normalise(Pack<float, kSize>& x, Pack<float, kSize>& dy, float mean,
                                          float rstd, const Pack<float, kSize>& weight, RowMeans& sums) {
#pragma unroll
  for (int k = 0; k < kSize; ++k) {
    x[k] = (x[k] - mean) * rstd;
    dy[k] *= weight[k];
    sums.dnorm += dy[k];
    sums.dnorm_norm += dy[k] * x[k];
  }
}
template <class T, int kSize>
__device__ __forceinline__ void add_to_dinp(T* dinp, const Pack<float, kSize>& norm,
                                            const Pack<float, kSize>& dnorm, float rstd, RowMeans means) {
  auto dx = load_floats<kSize>(dinp);
#pragma unroll
  for (int k = 0; k < kSize; ++k) dx[k] += rstd * (dnorm[k] - means.dnorm - norm[k] * means.dnorm_norm);
  store_floats(dinp, dx);
}
// Adds the terms of dweight and dbias, from x as it was read.
template <int kSize>
__device__ __forceinline__ void add_terms(Pack<float, kSize>& dweight, Pack<float, kSize>& dbias,
                                          const Pack<float, kSize>& x, const Pack<float, kSize>& dy,
                                          float mean, float rstd) {
#pragma unroll
  for (int k = 0; k < kSize; ++k) {
    dweight[k] += dy[k] * ((x[k] - mean) * rstd);
    dbias[k] += dy[k];
  }
}

// A warp a row, as in the forward; a warp goes through the rows a grid apart and keeps its columns' terms of
// dweight and dbias in registers. At its end the block adds its warps' in their order.
template <class T, int kPacks>
__global__ void __launch_bounds__(kThreads) layernorm_backward_kernel(Backward<T> f) {
  constexpr int kSize = kWide<T>;
  const float columns = static_cast<float>(f.C);
  const int C = static_cast<int>(f.C), first = lane_id() * kSize;
  Pack<float, kSize> dweight[kPacks], dbias[kPacks];
#pragma unroll
  for (int i = 0; i < kPacks; ++i) dweight[i] = dbias[i] = zeros<kSize>();

  for (std::int64_t n = grid_warp(); n < f.N; n += warps_in_grid()) {
    const std::int64_t row = n * f.C;
    const float mean = f.mean[n], rstd = f.rstd[n];
    Pack<float, kSize> x[kPacks], dy[kPacks];
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      const int c = first + i * kWarpSize * kSize;
      x[i] = c < C ? load_floats<kSize>(f.inp + row + c) : zeros<kSize>();
      dy[i] = c < C ? load_floats<kSize>(f.dout + row + c) : zeros<kSize>();
    }
    RowMeans means;
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      const int c = first + i * kWarpSize * kSize;
      if (c < C) {
        add_terms(dweight[i], dbias[i], x[i], dy[i], mean, rstd);
        normalise(x[i], dy[i], mean, rstd, load_floats<kSize>(f.weight + c), means);
      }
    }
    means = {warp_sum(means.dnorm) / columns, warp_sum(means.dnorm_norm) / columns};
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      const int c = first + i * kWarpSize * kSize;
      if (c < C) add_to_dinp(f.dinp + row + c, x[i], dy[i], rstd, means);
    }
  }

  SharedArena arena;
  const auto of_warp = arena.take_stages<float, kWarps>(2 * static_cast<std::size_t>(C));  // (2, C) each
  float* mine = of_warp[warp_id()];
#pragma unroll
  for (int i = 0; i < kPacks; ++i) {
    const int c = first + i * kWarpSize * kSize;
    if (c < C) {
#pragma unroll
      for (int k = 0; k < kSize; ++k) {
        mine[c + k] = dweight[i][k];
        mine[C + c + k] = dbias[i][k];
      }
    }
  }
  __syncthreads();  // all warps' sums are there
  float* partial = f.partial + std::int64_t{blockIdx.x} * 2 * C;
  for (int j = static_cast<int>(threadIdx.x) * kWide<float>; j < 2 * C; j += kThreads * kWide<float>) {
    auto sum = load_floats<kWide<float>>(of_warp[0] + j);
#pragma unroll
    for (int warp = 1; warp < kWarps; ++warp) add(sum, load_floats<kWide<float>>(of_warp[warp] + j));
    store_floats(partial + j, sum);
  }
}

// dinp for rows of any length: a block a row, which is read a second time out of the cache.
template <class T, int kSize>
__global__ void __launch_bounds__(kThreads) layernorm_backward_any_kernel(Backward<T> f) {
  const float columns = static_cast<float>(f.C);
  const std::int64_t first = std::int64_t{threadIdx.x} * kSize, step = kThreads * kSize;
  for (std::int64_t n = blockIdx.x; n < f.N; n += gridDim.x) {
    const std::int64_t row = n * f.C;
    const float mean = f.mean[n], rstd = f.rstd[n];
    RowMeans means;
    for (int pass = 0; pass < 2; ++pass) {
      RowMeans sums;
      for (std::int64_t c = first; c < f.C; c += step) {
        auto x = load_floats<kSize>(f.inp + row + c), dy = load_floats<kSize>(f.dout + row + c);
        normalise(x, dy, mean, rstd, load_floats<kSize>(f.weight + c), sums);
        if (pass == 1) add_to_dinp(f.dinp + row + c, x, dy, rstd, means);
      }
      if (pass == 0) means = {block_sum(sums.dnorm) / columns, block_sum(sums.dnorm_norm) / columns};
    }
  }
}

// The partial sums for rows of any length: blocks (x, y), a thread the same columns of rows y, y + gridDim.y,
// ...
template <class T, int kSize>
__global__ void __launch_bounds__(kThreads) layernorm_columns_any_kernel(Backward<T> f) {
  const std::int64_t step = std::int64_t{gridDim.x} * kThreads * kSize;
  for (std::int64_t c = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * kSize; c < f.C; c += step) {
    auto dweight = zeros<kSize>(), dbias = zeros<kSize>();
    for (std::int64_t n = blockIdx.y; n < f.N; n += gridDim.y) {
      const std::int64_t i = n * f.C + c;
      add_terms(dweight, dbias, load_floats<kSize>(f.inp + i), load_floats<kSize>(f.dout + i), f.mean[n],
                f.rstd[n]);
    }
    float* partial = f.partial + std::int64_t{blockIdx.y} * 2 * f.C + c;
    store_floats(partial, dweight);
    store_floats(partial + f.C, dbias);
  }
}

constexpr int kRowGroups = 16;

// dweight and dbias += the partial sums (P, 2, C): a block 32 columns, warp w the rows w, w + 16, ..., then
// the warps in their order.
__global__ void __launch_bounds__(kRowGroups* kWarpSize)
    layernorm_columns_kernel(float* dweight, float* dbias, const float* partial, std::int64_t P,
                             std::int64_t C) {
  for (std::int64_t first = std::int64_t{blockIdx.x} * kWarpSize; first < 2 * C;
       first += std::int64_t{gridDim.x} * kWarpSize) {
    const std::int64_t j = first + lane_id();
    auto sum = zeros<1>();
    if (j < 2 * C) {
#pragma unroll 8
      for (std::int64_t p = warp_id(); p < P; p += kRowGroups) sum[0] += partial[p * 2 * C + j];
    }
    sum = sum_of_warps<kRowGroups>(sum);
    if (warp_id() == 0 && j < 2 * C) *(j < C ? dweight + j : dbias + j - C) += sum[0];
  }
}

// Blocks that sum rows, from N alone: about four rows a warp, so that the partial sums are small beside the
// rows, and no more than fit on 132 SMs at once, three on each.
std::int64_t row_blocks(std::int64_t N) {
  return std::min<std::int64_t>(ceil_div(N, 4 * kWarps), 396);
}

}  // namespace

template <class T>
void execute(Context& context, const LayerNormForward& op) {
  launch_forward<false>(context.stream, op, Forward<T>{});
}

template <class T>
void execute(Context& context, const ResidualLayerNormForward& op) {
  Forward<T> f{};
  f.residual = op.residual.as<T>();
  f.branch = op.branch.as<T>();
  f.dropout = op.dropout;
  launch_forward<true>(context.stream, op, f);
}

template <class T>
void execute(Context& context, const LayerNormBackward& op) {
  const std::int64_t N = op.dinp.dim(0), C = op.dinp.dim(1), P = row_blocks(N);
  const std::size_t partial_bytes = static_cast<std::size_t>(P * 2 * C) * sizeof(float);
  const Backward<T> f{op.dinp.as<T>(),
                      op.dout.as<T>(),
                      op.inp.as<T>(),
                      op.mean.as<float>(),
                      op.rstd.as<float>(),
                      op.weight.as<float>(),
                      static_cast<float*>(context.scratch.get(partial_bytes)),
                      N,
                      C};
  const double elements = static_cast<double>(N) * static_cast<double>(C), rows = static_cast<double>(N);
  const double partials = static_cast<double>(partial_bytes);
  const bool wide = in_packs<T>(C, {f.dinp, f.dout, f.inp, f.weight});
  if (wide && C <= kMostColumns) {
    const Cost cost{.flops = 15 * elements, .bytes = 4 * sizeof(T) * elements + 8 * rows + partials};
    with_packs_of_lane<T>(C, [&](auto packs) {
      constexpr int kPacks = decltype(packs)::value;
      const std::size_t shared = kWarps * shared_bytes<float>(2 * static_cast<std::size_t>(C));
      ZHGPT_LAUNCH(context.stream, cost, (LaunchShape{static_cast<unsigned>(P), kThreads, shared}),
                   (layernorm_backward_kernel<T, kPacks>), f);
    });
  } else {
    const Cost rows_cost{.flops = 12 * elements, .bytes = 4 * sizeof(T) * elements + 8 * rows};
    const Cost columns_cost{.flops = 5 * elements, .bytes = 2 * sizeof(T) * elements + 8 * rows + partials};
    with_pack_size<T>(wide, [&](auto size) {
      constexpr int kSize = decltype(size)::value;
      ZHGPT_LAUNCH(context.stream, rows_cost, (LaunchShape{blocks_for(N, 1), kThreads}),
                   (layernorm_backward_any_kernel<T, kSize>), f);
      ZHGPT_LAUNCH(context.stream, columns_cost,
                   (LaunchShape{dim3(blocks_for(C, kThreads * kSize), static_cast<unsigned>(P)), kThreads}),
                   (layernorm_columns_any_kernel<T, kSize>), f);
    });
  }
  const Cost cost{.flops = 2.0 * static_cast<double>(P * C),
                  .bytes = partials + 16.0 * static_cast<double>(C)};
  ZHGPT_LAUNCH(context.stream, cost, (LaunchShape{blocks_for(2 * C, kWarpSize), kRowGroups * kWarpSize}),
               layernorm_columns_kernel, op.dweight.as<float>(), op.dbias.as<float>(), f.partial, P, C);
}

ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(LayerNormForward)
ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(ResidualLayerNormForward)
ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(LayerNormBackward)

}  // namespace zhgpt::cuda
