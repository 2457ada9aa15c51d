// EmbeddingForward: out[b,t,:] = dropout(wte[inputs[b,t],:] + wpe[t,:]), shapes (B, T, C), (B, T), (V, C),
// (>= T, C). Nothing is saved; the mask is drawn again. EmbeddingBackward: dwte[inputs[b,t],:] += dout[b,t,:]
// * mask, dwpe[t,:] += the same, deterministic. For dwte the positions are sorted by id on the device, so
// that those of one id are a run. The sorted positions are cut into pieces of 32, and a warp adds those of
// its piece in order; a run within a piece goes to its row at once, one across pieces as partial sums, which
// are then added in order. So a frequent id costs no more than others, each row has one writer, and what is
// added to what is decided by the ids alone.
#include "cuda/dropout.cuh"
#include "cuda/launch.cuh"
#include "cuda/ops.h"
#include "cuda/packs.cuh"
#include "cuda/sort.h"

namespace zhgpt::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarpSize;
constexpr int kPiece = kWarpSize;  // a lane keeps one position of the piece
constexpr int kAhead = 4;          // rows of dout under way in a warp

// A warp a row, a lane kSize columns of each 32 * kSize. The tables are read through L2, where they mostly
// fit.
template <class T, int kSize>
__global__ void __launch_bounds__(kThreads)
    embedding_forward_kernel(T* __restrict__ out, const std::int32_t* __restrict__ inputs,
                             const T* __restrict__ wte, const T* __restrict__ wpe, Dropout dropout,
                             std::int64_t N, std::int64_t T_, std::int64_t C) {
  const DropoutMask mask(dropout);
  for (std::int64_t n = grid_warp(); n < N; n += warps_in_grid()) {
    const T *token = wte + inputs[n] * C, *position = wpe + n % T_ * C;
#pragma unroll 2
    for (std::int64_t c = lane_id() * kSize; c < C; c += kWarpSize * kSize) {
      auto x = load_floats<kSize>(token + c);
      add(x, load_floats<kSize>(position + c));
      mask.apply(x, n * C + c);
      store_floats(out + n * C + c, x);
    }
  }
}

// Pieces of work for each row of C columns: a warp takes 32 packs.
template <int kSize>
__host__ __device__ constexpr std::int64_t column_groups(std::int64_t C) {
  return (C + kWarpSize * kSize - 1) / (kWarpSize * kSize);
}

// A block a position t and 32 packs of columns: warp w adds samples w, w + 4, ..., then the warps in order.
template <class T, int kSize>
__global__ void __launch_bounds__(kThreads)
    position_gradient_kernel(float* dwpe, const T* dout, Dropout dropout, std::int64_t B, std::int64_t T_,
                             std::int64_t C) {
  const DropoutMask mask(dropout);
  const std::int64_t groups = column_groups<kSize>(C);
  for (std::int64_t work = blockIdx.x; work < T_ * groups; work += gridDim.x) {
    const std::int64_t t = work / groups, c = (work % groups * kWarpSize + lane_id()) * kSize;
    auto sum = zeros<kSize>();
    if (c < C) {
#pragma unroll 4
      for (std::int64_t b = warp_id(); b < B; b += kWarps) {
        const std::int64_t i = (b * T_ + t) * C + c;
        auto x = load_floats<kSize>(dout + i);
        mask.apply(x, i);
        add(sum, x);
      }
    }
    sum = sum_of_warps<kWarps>(sum);
    if (warp_id() == 0 && c < C) {
      add(sum, load_floats<kSize>(dwpe + t * C + c));
      store_floats(dwpe + t * C + c, sum);
    }
  }
}

// What the pieces leave of runs that lie in several: (pieces, 2, C), written only where there is such a run.
struct Partial {
  float* sums;
  std::int64_t C;
  // The end of a run that began in an earlier piece, or all of the piece when it also goes on in a later one.
  __device__ __forceinline__ float* head(std::int64_t piece) const { return sums + 2 * piece * C; }
  // The beginning of a run that goes on in the next piece.
  __device__ __forceinline__ float* tail(std::int64_t piece) const { return sums + (2 * piece + 1) * C; }
};

// A warp a piece of sorted positions and 32 packs of columns. Four blocks on an SM have 16 warps * kAhead *
// 512 bytes = 32 KiB of dout under way, which covers an SM's share of memory.
template <class T, int kSize>
__global__ void __launch_bounds__(kThreads, 4)
    token_gradient_kernel(float* dwte, Partial partial, const T* dout, SortedIds sorted, Dropout dropout,
                          std::int64_t N, std::int64_t C) {
  const DropoutMask mask(dropout);
  const std::int64_t groups = column_groups<kSize>(C), total = (N + kPiece - 1) / kPiece * groups;
  for (std::int64_t work = grid_warp(); work < total; work += warps_in_grid()) {
    const std::int64_t piece = work / groups, c = (work % groups * kWarpSize + lane_id()) * kSize;
    const std::int64_t slot = piece * kPiece + lane_id();
    const int count = static_cast<int>(min(std::int64_t{kPiece}, N - piece * kPiece));
    const bool filled = slot < N;
    const std::int32_t my_id = filled ? sorted.ids[slot] : 0,
                       my_position = filled ? sorted.positions[slot] : 0;
    const bool begins = filled && (slot == 0 || sorted.ids[slot - 1] != my_id);
    const bool ends = filled && (slot == N - 1 || sorted.ids[slot + 1] != my_id);
    const unsigned end_slots = __ballot_sync(kFullWarp, ends);
    bool begun_here = __ballot_sync(kFullWarp, begins) & 1;

    auto sum = zeros<kSize>();
    for (int s = 0; s < count; s += kAhead) {
      Pack<float, kSize> x[kAhead];
      std::int32_t position[kAhead];
#pragma unroll
      for (int k = 0; k < kAhead; ++k) {
        position[k] = __shfl_sync(kFullWarp, my_position, s + k);
        x[k] = s + k < count && c < C ? load_floats<kSize>(dout + position[k] * C + c) : zeros<kSize>();
      }
#pragma unroll
      for (int k = 0; k < kAhead; ++k) {
        mask.apply(x[k], position[k] * C + c);
        add(sum, x[k]);
        const std::int64_t id = __shfl_sync(kFullWarp, my_id, s + k);
        if (end_slots >> (s + k) & 1) {
          if (c < C) {
            float* to = begun_here ? dwte + id * C + c : partial.head(piece) + c;
            if (begun_here) add(sum, load_floats<kSize>(to));
            store_floats(to, sum);
          }
          sum = zeros<kSize>();
          begun_here = true;
        }
      }
    }
    if (!(end_slots >> (count - 1) & 1) && c < C) {
      store_floats((begun_here ? partial.tail(piece) : partial.head(piece)) + c, sum);
    }
  }
}

// A block a piece, whose last run may begin there and go on, and 32 packs of columns: to its tail warp w adds
// the heads of the pieces w + 1, w + 5, ... further, then the warps in order.
template <int kSize>
__global__ void __launch_bounds__(kThreads)
    join_runs_kernel(float* dwte, Partial partial, const std::int32_t* ids, std::int64_t N, std::int64_t C) {
  const std::int64_t groups = column_groups<kSize>(C), pieces = (N + kPiece - 1) / kPiece;
  for (std::int64_t work = blockIdx.x; work < pieces * groups; work += gridDim.x) {
    const std::int64_t piece = work / groups, c = (work % groups * kWarpSize + lane_id()) * kSize;
    const std::int64_t begin = piece * kPiece, next = begin + kPiece;
    if (next >= N) continue;
    const std::int64_t id = ids[next - 1];
    if (ids[next] != id || (begin > 0 && ids[begin - 1] == id)) continue;

    auto sum = warp_id() == 0 && c < C ? load_floats<kSize>(partial.tail(piece) + c) : zeros<kSize>();
    int found = kWarpSize;
    for (std::int64_t first = piece + 1 + warp_id(); found == kWarpSize; first += kWarpSize * kWarps) {
      const std::int64_t mine =
          first + lane_id() * kWarps;  // ids ascend, so that the run's pieces come first
      found = __popc(__ballot_sync(kFullWarp, mine < pieces && ids[mine * kPiece] == id));
      if (c >= C) continue;
#pragma unroll 4
      for (int i = 0; i < found; ++i) add(sum, load_floats<kSize>(partial.head(first + i * kWarps) + c));
    }
    sum = sum_of_warps<kWarps>(sum);
    if (warp_id() == 0 && c < C) {
      add(sum, load_floats<kSize>(dwte + id * C + c));
      store_floats(dwte + id * C + c, sum);
    }
  }
}

}  // namespace

template <class T>
void execute(Context& context, const EmbeddingForward& op) {
  const std::int64_t T_ = op.out.dim(1), C = op.out.dim(2), N = op.out.dim(0) * T_;
  T* out = op.out.as<T>();
  const T *wte = op.wte.as<T>(), *wpe = op.wpe.as<T>();
  const double elements = static_cast<double>(N) * static_cast<double>(C);
  const double rows_read = static_cast<double>(std::min(N, op.wte.dim(0)) + T_);
  const Cost cost{
      .flops = 2 * elements,
      .bytes = sizeof(T) * (elements + rows_read * static_cast<double>(C)) + 4.0 * static_cast<double>(N)};
  with_pack_size<T>(in_packs<T>(C, {out, wte, wpe}), [&](auto size) {
    constexpr int kSize = decltype(size)::value;
    ZHGPT_LAUNCH(context.stream, cost, (LaunchShape{blocks_for(N, kWarps), kThreads}),
                 (embedding_forward_kernel<T, kSize>), out, op.inputs.as<std::int32_t>(), wte, wpe,
                 op.dropout, N, T_, C);
  });
}

template <class T>
void execute(Context& context, const EmbeddingBackward& op) {
  const std::int64_t B = op.dout.dim(0), T_ = op.dout.dim(1), C = op.dout.dim(2), N = B * T_,
                     V = op.dwte.dim(0);
  float *dwte = op.dwte.as<float>(), *dwpe = op.dwpe.as<float>();
  const T* dout = op.dout.as<T>();
  const std::int64_t pieces = ceil_div(N, kPiece);
  const std::size_t partial_bytes = static_cast<std::size_t>(pieces * 2 * C) * sizeof(float);
  char* scratch = static_cast<char*>(context.scratch.get(partial_bytes + 16 + sort_bytes(N, V)));
  const Partial partial{reinterpret_cast<float*>(scratch), C};
  const SortedIds sorted =
      sort_ids(context.stream, op.inputs.as<std::int32_t>(), N, V, scratch + (partial_bytes + 15) / 16 * 16);

  const double elements = static_cast<double>(N) * static_cast<double>(C), columns = static_cast<double>(C);
  const double rows = static_cast<double>(std::min(N, V)), partials = static_cast<double>(partial_bytes);
  const double dout_bytes = sizeof(T) * elements;
  const Cost position_cost{.flops = 2 * elements,
                           .bytes = dout_bytes + 8 * columns * static_cast<double>(T_)};
  const Cost token_cost{.flops = 2 * elements,
                        .bytes = dout_bytes + 8 * columns * rows + 8.0 * static_cast<double>(N)};
  const Cost join_cost{.flops = partials / 4, .bytes = 8.0 * static_cast<double>(pieces)};
  with_pack_size<T>(in_packs<T>(C, {dwte, dwpe, dout}), [&](auto size) {
    constexpr int kSize = decltype(size)::value;
    const std::int64_t groups = column_groups<kSize>(C);
    ZHGPT_LAUNCH(context.stream, position_cost, (LaunchShape{blocks_for(T_ * groups, 1), kThreads}),
                 (position_gradient_kernel<T, kSize>), dwpe, dout, op.dropout, B, T_, C);
    ZHGPT_LAUNCH(context.stream, token_cost, (LaunchShape{blocks_for(pieces * groups, kWarps), kThreads}),
                 (token_gradient_kernel<T, kSize>), dwte, partial, dout, sorted, op.dropout, N, C);
    ZHGPT_LAUNCH(context.stream, join_cost, (LaunchShape{blocks_for(pieces * groups, 1), kThreads}),
                 join_runs_kernel<kSize>, dwte, partial, sorted.ids, N, C);
  });
}

ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(EmbeddingForward)
ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(EmbeddingBackward)

}  // namespace zhgpt::cuda
