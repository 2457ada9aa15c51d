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

// Warp: part warp % parts of kChannels neighbouring channels, for the kRows rows from blockIdx.y kRows on. A
// channel has C / kSize pieces, which its lanes, those of all parts one after another, take in turn.
template <class T, class Out, int kSize, int kRows>
__global__ void __launch_bounds__(kThreads)
    linear_decode_kernel(Out* __restrict__ out, const T* __restrict__ inp, const T* __restrict__ weight,
                         const T* __restrict__ bias, int N, int OC, int C, int parts, bool with_gelu) {
  constexpr int kOfWarp = kChannels<kRows>, kSums = kRows * kOfWarp, kAtOnce = kInFlight / kOfWarp;
  static_assert(kSums <= kWarpSize);
  const int part = warp_id() % parts;
  const std::int64_t group = std::int64_t{blockIdx.x} * (kWarps / parts) + warp_id() / parts;
  const std::int64_t first_channel = group * kOfWarp, first_row = std::int64_t{blockIdx.y} * kRows;
  inp += first_row * C;

  float sums[kRows][kOfWarp] = {};
  const int pieces = C / kSize, step = parts * kWarpSize;
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
          for (int k = 0; k < kSize; ++k) sums[r][o] = fmaf(x[k], to_float(of_weight[i][o][k]), sums[r][o]);
        }
      }
    }
  }

  float mine = 0;  // lane r kOfWarp + o finishes row r of channel o
#pragma unroll
  for (int i = 0; i < kSums; ++i) {
    const float sum = warp_sum(sums[i / kOfWarp][i % kOfWarp]);
    if (lane_id() == i) mine = sum;
  }
  ZHGPT_SHARED(float, of_part, [kWarps][kSums]);
  if (parts > 1) {
    if (lane_id() < kSums) of_part[warp_id()][lane_id()] = mine;
    __syncthreads();  // all parts' sums are there
    if (part > 0) return;
    for (int p = 1; p < parts && lane_id() < kSums; ++p) mine += of_part[warp_id() + p][lane_id()];
  }
  const std::int64_t row = first_row + lane_id() / kOfWarp, channel = first_channel + lane_id() % kOfWarp;
  if (lane_id() >= kSums || row >= N || channel >= OC) return;
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
