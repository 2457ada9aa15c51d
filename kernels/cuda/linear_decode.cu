// LinearDecode: out (N, OC) = inp (N, C) . weight (OC, C)^T + bias (OC), then GELU, for few rows.
//
// A walk through the weight, which is read once for up to eight rows, in 128-bit pieces, several of them on
// their way at a time. Where channels are too few to keep a card busy, each is shared out among several
// warps. Which lane of which of them multiplies which numbers, and in which order all is added up, is decided
// by OC and C alone, so that a row's bits do not depend on how many others there are.
#include "cuda/gelu.cuh"
#include "cuda/launch.cuh"
#include "cuda/ops.h"
#include "cuda/packs.cuh"

namespace zhgpt::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / kWarpSize;
constexpr int kInFlight = 4;  // pieces of the weight that a lane waits for together

// Channels of a warp: with many rows two, so that a piece of the input serves both.
template <int kRows>
constexpr int kChannels = kRows == 1 ? 1 : 2;

// Warps that share a channel: more while there are too few of them, and each lane has a piece for two.
int parts_of(std::int64_t OC, std::int64_t pieces) {
  constexpr std::int64_t kEnough = 2048;  // warps: 16 on each of about 130 SMs
  int parts = 1;
  while (parts < kWarps && OC * parts < kEnough && pieces >= 2 * kWarpSize * parts) parts *= 2;
  return parts;
}

// Adds up each of a power of two of sums over the warp's lanes, in the tree of warp_sum; lane l gets that of
// sum l kSums / 32. While there are several, half of the lanes go on with half of them: fewer shuffles than
// one tree a sum.
template <int kSums>
__device__ __forceinline__ float sum_over_lanes(float (&sums)[kSums]) {
  int count = kSums;
#pragma unroll
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
    if (count == 1) {
      sums[0] += __shfl_xor_sync(kFullWarp, sums[0], distance);
      continue;
    }
    count /= 2;
    const bool upper = (lane_id() & distance) != 0;
#pragma unroll
    for (int i = 0; i < kSums / 2; ++i) {
      if (i >= count) break;
      const float keep = upper ? sums[i + count] : sums[i], give = upper ? sums[i] : sums[i + count];
      sums[i] = keep + __shfl_xor_sync(kFullWarp, give, distance);
    }
  }
  return sums[0];
}

// Warp: part warp % parts of kChannels neighbouring channels, for the kRows rows from blockIdx.y kRows on. A
// channel has C / kSize pieces, which its lanes, those of all parts one after another, take in turn. Two
// blocks an SM keep enough on its way; left to itself ptxas spills to make room for more.
template <class T, class Out, int kSize, int kRows>
__global__ void __launch_bounds__(kThreads, 2)
    linear_decode_kernel(Out* __restrict__ out, const T* __restrict__ inp, const T* __restrict__ weight,
                         const T* __restrict__ bias, int N, int OC, int C, int parts, bool with_gelu) {
  constexpr int kOfWarp = kChannels<kRows>, kSums = kRows * kOfWarp, kAtOnce = kInFlight / kOfWarp;
  const int part = warp_id() % parts;
  const std::int64_t group = std::int64_t{blockIdx.x} * (kWarps / parts) + warp_id() / parts;
  const std::int64_t first_channel = group * kOfWarp, first_row = std::int64_t{blockIdx.y} * kRows;
  inp += first_row * C;

  float sums[kSums] = {};  // of row r and channel o: r kOfWarp + o
  const int pieces = C / kSize, step = parts * kWarpSize;
#pragma unroll 1
  for (int first = part * kWarpSize + lane_id(); first < pieces; first += step * kAtOnce) {
    Pack<T, kSize> of_weight[kAtOnce][kOfWarp];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int at = first + i * step;
#pragma unroll
      for (int o = 0; o < kOfWarp; ++o) {
        const bool is_there = at < pieces && first_channel + o < OC;
        of_weight[i][o] =
            is_there ? load_pack<kSize>(weight + (first_channel + o) * C + at * kSize) : Pack<T, kSize>{};
      }
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int at = first + i * step;
      if (at >= pieces) break;
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        if (first_row + r >= N) break;
        const auto x = load_floats<kSize>(inp + std::int64_t{r} * C + at * kSize);
#pragma unroll
        for (int o = 0; o < kOfWarp; ++o) {
#pragma unroll
          for (int k = 0; k < kSize; ++k) {
            float& sum = sums[r * kOfWarp + o];
            sum = fmaf(x[k], to_float(of_weight[i][o][k]), sum);
          }
        }
      }
    }
  }

  constexpr int kLanes = kWarpSize / kSums;  // that end up with the same sum: the first of them goes on
  const int which = lane_id() / kLanes;
  const bool goes_on = lane_id() % kLanes == 0;
  float mine = sum_over_lanes(sums);
  ZHGPT_SHARED(float, of_part, [kWarps][kSums]);
  if (parts > 1) {
    if (goes_on) of_part[warp_id()][which] = mine;
    __syncthreads();  // all parts' sums are there
    if (part > 0) return;
    for (int p = 1; p < parts; ++p) mine += of_part[warp_id() + p][which];
  }
  const std::int64_t row = first_row + which / kOfWarp, channel = first_channel + which % kOfWarp;
  if (!goes_on || row >= N || channel >= OC) return;
  if (bias) mine += to_float(bias[channel]);
  out[row * OC + channel] = from_float<Out>(with_gelu ? gelu(mine) : mine);
}

template <class T, class Out>
void multiply(Context& context, const LinearDecode& op) {
  const std::int64_t N = op.out.dim(0), OC = op.out.dim(1), C = op.inp.dim(1);
  const T* bias = op.bias ? op.bias.as<T>() : nullptr;
  const double n = static_cast<double>(N), oc = static_cast<double>(OC), c = static_cast<double>(C);
  const Cost cost{.flops = 2 * n * oc * c + (op.gelu ? 10 * n * oc : 0),
                  .bytes = (oc * c + n * c + (bias ? oc : 0)) * sizeof(T) + n * oc * sizeof(Out)};
  with_pack_size<T>(in_packs<T>(C, {op.inp.data, op.weight.data}), [&](auto size) {
    constexpr int kSize = decltype(size)::value;
    const int parts = parts_of(OC, C / kSize);
    const auto launch_for = [&](auto rows) {
      constexpr int kRows = decltype(rows)::value;
      const dim3 grid(static_cast<unsigned>(ceil_div(OC, kWarps / parts * kChannels<kRows>)),
                      static_cast<unsigned>(ceil_div(N, kRows)));
      ZHGPT_LAUNCH(context.stream, cost, (LaunchShape{grid, kThreads}),
                   (linear_decode_kernel<T, Out, kSize, kRows>), op.out.as<Out>(), op.inp.as<T>(),
                   op.weight.as<T>(), bias, N, OC, C, parts, op.gelu);
    };
    if (N == 1) {
      launch_for(std::integral_constant<int, 1>{});
    } else if (N <= 4) {
      launch_for(std::integral_constant<int, 4>{});
    } else {
      launch_for(std::integral_constant<int, 8>{});
    }
  });
}

}  // namespace

template <class T>
void execute(Context& context, const LinearDecode& op) {
  if (op.out.dtype == DType::f32) {
    multiply<T, float>(context, op);
  } else {
    multiply<T, T>(context, op);
  }
}

ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(LinearDecode)

}  // namespace zhgpt::cuda
