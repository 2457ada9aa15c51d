// EmbeddingForward: out[b,t,:] = dropout(wte[inputs[b,t],:] + wpe[t,:]).
// EmbeddingBackward: dwte[id,:] += sum of dout * mask over the positions of id; dwpe[t,:] += the same over b.
//
// Backward is deterministic without atomics on floats: positions n = b T + t are sorted by (id, n) on the
// device, and every row of dwte has one writer that adds its positions in that order. The sort counts and
// places by integer atomics, whose order is chance, and then ranks each position within its id, which undoes
// the chance. The sorted positions are summed in tiles of kTile; an id whose positions fill several tiles, as
// a comma's do, leaves partial sums, which its first tile adds up in their order.
#include "cuda/dropout.cuh"
#include "cuda/launch.cuh"
#include "cuda/ops.h"
#include "cuda/packs.cuh"

namespace zhgpt::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kScanThreads = 1024;
constexpr int kTile = 32;  // sorted positions that a block adds up in a row

// ---- forward ----------------------------------------------------------------------------------------------

// A thread a pack of channels.
template <class T, int kSize>
__global__ void __launch_bounds__(kThreads)
    embedding_forward_kernel(T* out, const std::int32_t* inputs, const T* wte, const T* wpe, Dropout dropout,
                             std::int64_t N, std::int64_t positions, std::int64_t C) {
  const DropoutMask mask(dropout);
  const std::int64_t packs = C / kSize, stride = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < N * packs; i += stride) {
    const std::int64_t n = i / packs, c = i % packs * kSize;
    Pack<float, kSize> x = load_floats<kSize>(wte + inputs[n] * C + c);
    add(x, load_floats<kSize>(wpe + n % positions * C + c));
    mask.apply(x, n * C + c);
    store_floats(out + n * C + c, x);
  }
}

// ---- the positions by id ----------------------------------------------------------------------------------

// A thread a position.
__global__ void __launch_bounds__(kThreads)
    count_ids_kernel(std::int32_t* counts, const std::int32_t* inputs, std::int64_t N) {
  const std::int64_t n = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (n < N) atomicAdd(counts + inputs[n], 1);
}

// One block: begins[id] = cursors[id] = how many positions have smaller ids. `cursors` holds the counts
// before. Threads own neighbouring ids.
__global__ void __launch_bounds__(kScanThreads)
    scan_counts_kernel(std::int32_t* begins, std::int32_t* cursors, std::int64_t V) {
  ZHGPT_SHARED(std::int32_t, of_warp, [kWarpSize]);
  const std::int64_t share = ceil_div(V, kScanThreads), first = threadIdx.x * share;
  const std::int64_t last = first + share < V ? first + share : V;
  std::int32_t own = 0;
  for (std::int64_t id = first; id < last; ++id) own += cursors[id];
  std::int32_t upto = own;  // inclusive, within the warp
#pragma unroll
  for (int distance = 1; distance < kWarpSize; distance *= 2) {
    const std::int32_t left = __shfl_up_sync(kFullWarp, upto, distance);
    if (lane_id() >= distance) upto += left;
  }
  if (lane_id() == kWarpSize - 1) of_warp[warp_id()] = upto;
  __syncthreads();  // all warps' sums are there
  std::int32_t before = upto - own;
  for (int warp = 0; warp < warp_id(); ++warp) before += of_warp[warp];
  for (std::int64_t id = first; id < last; ++id) {
    const std::int32_t count = cursors[id];
    begins[id] = cursors[id] = before;
    before += count;
  }
}

// A thread a position: takes the next place of its id, whichever that is.
__global__ void __launch_bounds__(kThreads)
    place_positions_kernel(std::int32_t* placed, std::int32_t* cursors, const std::int32_t* inputs,
                           std::int64_t N) {
  const std::int64_t n = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (n < N) placed[atomicAdd(cursors + inputs[n], 1)] = static_cast<std::int32_t>(n);
}

// A thread a place: how many positions of the same id come before this one. Neighbouring threads mostly read
// the same addresses. The work is the sum of squared counts: at worst N^2 comparisons.
__global__ void __launch_bounds__(kThreads)
    rank_positions_kernel(std::int32_t* sorted, const std::int32_t* placed, const std::int32_t* begins,
                          const std::int32_t* ends, const std::int32_t* inputs, std::int64_t N) {
  const std::int64_t place = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (place >= N) return;
  const std::int32_t n = placed[place], id = inputs[n], begin = begins[id], end = ends[id];
  std::int32_t rank = 0;
  for (std::int32_t other = begin; other < end; ++other) rank += placed[other] < n ? 1 : 0;
  sorted[begin + rank] = n;
}

// ---- sums -------------------------------------------------------------------------------------------------

// Partial sums of a tile whose id goes on from the tile before (head) or into the next one (tail).
struct Partials {
  float *heads, *tails;  // (tiles, C)
};

template <int kSize>
__device__ __forceinline__ void add_to(float* row, const Pack<float, kSize>& sum) {
  Pack<float, kSize> x = load_floats<kSize>(row);
  add(x, sum);
  store_floats(row, x);
}

// A block column a tile of sorted positions, a thread a pack of channels. An id that lies within the tile is
// added to its row at once.
template <class T, int kSize>
__global__ void __launch_bounds__(kThreads)
    sum_tiles_kernel(float* dwte, Partials partials, const T* dout, const std::int32_t* sorted,
                     const std::int32_t* inputs, Dropout dropout, std::int64_t N, std::int64_t C) {
  const DropoutMask mask(dropout);
  const std::int64_t tile = blockIdx.x, begin = tile * kTile, end = begin + kTile < N ? begin + kTile : N;
  const std::int64_t c = (std::int64_t{blockIdx.y} * kThreads + threadIdx.x) * kSize;
  if (c >= C) return;
  bool from_before = begin > 0 && inputs[sorted[begin - 1]] == inputs[sorted[begin]];
  Pack<float, kSize> sum = zeros<kSize>();
  for (std::int64_t place = begin; place < end; ++place) {
    const std::int64_t n = sorted[place];
    const std::int32_t id = inputs[n];
    Pack<float, kSize> x = load_floats<kSize>(dout + n * C + c);
    mask.apply(x, n * C + c);
    add(sum, x);
    const bool goes_on = place + 1 < N && inputs[sorted[place + 1]] == id;
    if (goes_on && place + 1 < end) continue;
    if (from_before) {
      store_floats(partials.heads + tile * C + c, sum);
    } else if (goes_on) {
      store_floats(partials.tails + tile * C + c, sum);
    } else {
      add_to(dwte + std::int64_t{id} * C + c, sum);
    }
    from_before = false;
    sum = zeros<kSize>();
  }
}

// A block column the tile in which an id begins that goes on into others: its tail, then their heads, in
// order.
template <int kSize>
__global__ void __launch_bounds__(kThreads)
    add_partials_kernel(float* dwte, Partials partials, const std::int32_t* sorted,
                        const std::int32_t* inputs, std::int64_t N, std::int64_t C) {
  const std::int64_t tile = blockIdx.x, next = (tile + 1) * kTile;
  const std::int64_t c = (std::int64_t{blockIdx.y} * kThreads + threadIdx.x) * kSize;
  if (c >= C || next >= N) return;
  const std::int32_t id = inputs[sorted[next - 1]];
  if (inputs[sorted[next]] != id) return;                          // ends here
  if (tile > 0 && inputs[sorted[tile * kTile - 1]] == id) return;  // began before
  Pack<float, kSize> sum = load_floats<kSize>(partials.tails + tile * C + c);
  for (std::int64_t other = tile + 1; other * kTile < N && inputs[sorted[other * kTile]] == id; ++other) {
    add(sum, load_floats<kSize>(partials.heads + other * C + c));
  }
  add_to(dwte + std::int64_t{id} * C + c, sum);
}

// A thread a pack of channels of one position of the window, over all rows of the batch in order.
template <class T, int kSize>
__global__ void __launch_bounds__(kThreads)
    sum_positions_kernel(float* dwpe, const T* dout, Dropout dropout, std::int64_t B, std::int64_t positions,
                         std::int64_t C) {
  const DropoutMask mask(dropout);
  const std::int64_t i = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * kSize;  // t C + c
  if (i >= positions * C) return;
  Pack<float, kSize> sum = zeros<kSize>();
  for (std::int64_t b = 0; b < B; ++b) {
    const std::int64_t at = b * positions * C + i;
    Pack<float, kSize> x = load_floats<kSize>(dout + at);
    mask.apply(x, at);
    add(sum, x);
  }
  add_to(dwpe + i, sum);
}

}  // namespace

template <class T>
void execute(Context& context, const EmbeddingForward& op) {
  const std::int64_t positions = op.out.dim(1), C = op.out.dim(2), N = op.out.dim(0) * positions;
  T* out = op.out.as<T>();
  const T *wte = op.wte.as<T>(), *wpe = op.wpe.as<T>();
  const double elements = static_cast<double>(N * C);
  const Cost cost{.flops = elements, .bytes = 2 * sizeof(T) * elements};
  with_pack_size<T>(in_packs<T>(C, {out, wte, wpe}), [&](auto size) {
    constexpr int kSize = decltype(size)::value;
    ZHGPT_LAUNCH(context.stream, cost, (LaunchShape{blocks_for(N * C / kSize, kThreads), kThreads}),
                 (embedding_forward_kernel<T, kSize>), out, op.inputs.as<std::int32_t>(), wte, wpe,
                 op.dropout, N, positions, C);
  });
}

template <class T>
void execute(Context& context, const EmbeddingBackward& op) {
  const std::int64_t B = op.dout.dim(0), positions = op.dout.dim(1), C = op.dout.dim(2), N = B * positions;
  const std::int64_t V = op.dwte.dim(0), tiles = ceil_div(N, kTile);
  const auto* inputs = op.inputs.as<std::int32_t>();
  const T* dout = op.dout.as<T>();
  auto *dwte = op.dwte.as<float>(), *dwpe = op.dwpe.as<float>();
  Stream& stream = context.stream;

  const auto bytes_of = [](std::int64_t count) {
    return shared_bytes<float>(static_cast<std::size_t>(count));
  };
  auto* memory =
      static_cast<char*>(context.scratch.get(2 * bytes_of(tiles * C) + 2 * bytes_of(V) + 2 * bytes_of(N)));
  const auto take = [&](auto* type, std::int64_t count) {
    auto* piece = reinterpret_cast<decltype(type)>(memory);
    memory += bytes_of(count);
    return piece;
  };
  float* const reals = nullptr;
  std::int32_t* const ints = nullptr;
  const Partials partials{take(reals, tiles * C), take(reals, tiles * C)};
  std::int32_t *begins = take(ints, V), *cursors = take(ints, V), *placed = take(ints, N),
               *sorted = take(ints, N);

  const LaunchShape by_position{blocks_for(N, kThreads), kThreads};
  const double n_bytes = 4.0 * static_cast<double>(N), v_bytes = 4.0 * static_cast<double>(V);
  stream.zero(cursors, static_cast<std::size_t>(V) * sizeof *cursors);
  ZHGPT_LAUNCH(stream, (Cost{.bytes = n_bytes}), by_position, count_ids_kernel, cursors, inputs, N);
  ZHGPT_LAUNCH(stream, (Cost{.bytes = 3 * v_bytes}), (LaunchShape{1, kScanThreads}), scan_counts_kernel,
               begins, cursors, V);
  ZHGPT_LAUNCH(stream, (Cost{.bytes = 2 * n_bytes}), by_position, place_positions_kernel, placed, cursors,
               inputs, N);
  ZHGPT_LAUNCH(stream, (Cost{.bytes = 3 * n_bytes}), by_position, rank_positions_kernel, sorted, placed,
               begins, cursors, inputs, N);

  const double elements = static_cast<double>(N * C);
  const Cost sums{.flops = elements, .bytes = sizeof(T) * elements};
  with_pack_size<T>(in_packs<T>(C, {dout, dwte, dwpe}), [&](auto size) {
    constexpr int kSize = decltype(size)::value;
    const LaunchShape by_tile{dim3(static_cast<unsigned>(tiles), blocks_for(C / kSize, kThreads)), kThreads};
    ZHGPT_LAUNCH(stream, sums, by_tile, (sum_tiles_kernel<T, kSize>), dwte, partials, dout, sorted, inputs,
                 op.dropout, N, C);
    ZHGPT_LAUNCH(stream, (Cost{.bytes = 4.0 * static_cast<double>(tiles * C)}), by_tile,
                 add_partials_kernel<kSize>, dwte, partials, sorted, inputs, N, C);
    ZHGPT_LAUNCH(stream, sums, (LaunchShape{blocks_for(positions * C / kSize, kThreads), kThreads}),
                 (sum_positions_kernel<T, kSize>), dwpe, dout, op.dropout, B, positions, C);
  });
}

ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(EmbeddingForward)
ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(EmbeddingBackward)

}  // namespace zhgpt::cuda
