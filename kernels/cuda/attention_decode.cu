// AttentionDecode: one query a row against its cache of keys and values.
//
// A block takes kSplit positions of one head of one row. Groups of lanes that together hold a vector of HS
// numbers go through them, each with an online softmax of its own; then the groups of a warp, the warps and,
// where there are several, the splits are combined in order: T. Dao et al., "Flash-Decoding", 2023. Which
// group takes a position depends on HS and the position alone, and splits without positions take no part, so
// that a row's bits depend neither on the other rows nor on S.
#include "cuda/attention.cuh"

namespace zhgpt::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / kWarpSize;
static_assert(kWidestHead <= kThreads);
constexpr int kSplit = 512;  // one launch serves the usual contexts
constexpr int kAtOnce = 4;   // positions of a group whose keys and values are on their way together

struct Cache {
  int NH, HS, S, splits;
  // Of a row and head: where its query, new key and new value lie, its cache, and its partial results.
  __device__ std::int64_t in_qkv(int row_head) const {
    return (std::int64_t{row_head / NH} * 3 * NH + row_head % NH) * HS;
  }
  __device__ std::int64_t in_cache(int row_head) const { return std::int64_t{row_head} * S * HS; }
  __host__ __device__ std::int64_t partial_size() const { return HS + 2; }  // sums, most, total
};

// A vector over a group of lanes: lane l holds kPer neighbours from (l + kLanes i) kPer on, i < kParts.
template <class T, int lanes, int per, int parts>
struct Spread {
  using Element = T;
  static constexpr int kLanes = lanes, kPer = per, kParts = parts;
  static constexpr int kGroupsOfWarp = kWarpSize / kLanes, kGroups = kWarps * kGroupsOfWarp;
  static constexpr int kNumbers = kPer * kParts;
  static constexpr int kWidth = kLanes * kNumbers;  // HS or more
  using Piece = Pack<T, kPer>;

  __device__ static int begin(int i) { return (lane_id() % kLanes + kLanes * i) * kPer; }
  __device__ static Piece load(const T* from) {
    if constexpr (sizeof(Piece) == 16) {
      return load128(from);
    } else {
      static_assert(kPer == 1);
      return {*from};
    }
  }
  __device__ static void store(T* to, const Piece& piece) {
    if constexpr (sizeof(Piece) == 16) {
      store128(to, piece);
    } else {
      *to = piece[0];
    }
  }
};

// Factor from sums relative to `most` to sums relative to `highest`; where both are -inf there are none yet.
__device__ float rescaling(float most, float highest) {
  return most == highest ? 1.f : exp2f(most - highest);
}

// One block a split of a head of a row. Writes the new key and value to the cache, and the row's result, or
// that of its split to `partial`.
template <class Spread>
__global__ void __launch_bounds__(kThreads)
    attention_decode_kernel(typename Spread::Element* out, float* partial, typename Spread::Element* k_cache,
                            typename Spread::Element* v_cache, const typename Spread::Element* qkv,
                            const std::int32_t* lengths, Cache cache) {
  using T = typename Spread::Element;
  using Piece = typename Spread::Piece;
  const int row_head = static_cast<int>(blockIdx.x / static_cast<unsigned>(cache.splits));
  const int split = static_cast<int>(blockIdx.x % static_cast<unsigned>(cache.splits));
  const int fresh = lengths[row_head / cache.NH];  // the new token's position
  const int first = split * kSplit, end = min(first + kSplit, fresh + 1);
  if (first >= end) return;
  const std::int64_t channels = std::int64_t{cache.NH} * cache.HS;
  const T *q = qkv + cache.in_qkv(row_head), *fresh_k = q + channels, *fresh_v = fresh_k + channels;
  T *keys = k_cache + cache.in_cache(row_head), *values = v_cache + cache.in_cache(row_head);

  const float scale = kLog2E / sqrtf(static_cast<float>(cache.HS));
  float of_q[Spread::kNumbers], sums[Spread::kNumbers];
#pragma unroll
  for (int i = 0; i < Spread::kParts; ++i) {
    const int c = Spread::begin(i);
    const Piece piece = c < cache.HS ? Spread::load(q + c) : Piece{};
#pragma unroll
    for (int e = 0; e < Spread::kPer; ++e) {
      of_q[i * Spread::kPer + e] = to_float(piece[e]) * scale;
      sums[i * Spread::kPer + e] = 0;
    }
  }
  float most = -INFINITY, total = 0;
  const int group = warp_id() * Spread::kGroupsOfWarp + lane_id() / Spread::kLanes;
  for (int base = first; base < end; base += kAtOnce * Spread::kGroups) {
    Piece k[kAtOnce][Spread::kParts], v[kAtOnce][Spread::kParts];
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) {
      const int position = base + n * Spread::kGroups + group;
      const bool is_fresh = position == fresh;
      const std::int64_t at = std::int64_t{position} * cache.HS;
      const T *from_k = is_fresh ? fresh_k : keys + at, *from_v = is_fresh ? fresh_v : values + at;
#pragma unroll
      for (int i = 0; i < Spread::kParts; ++i) {
        const int c = Spread::begin(i);
        const bool inside = position < end && c < cache.HS;
        k[n][i] = inside ? Spread::load(from_k + c) : Piece{};
        v[n][i] = inside ? Spread::load(from_v + c) : Piece{};
        if (inside && is_fresh) {
          Spread::store(keys + at + c, k[n][i]);
          Spread::store(values + at + c, v[n][i]);
        }
      }
    }
    float scores[kAtOnce], highest = most;
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) {
      float score = 0;
#pragma unroll
      for (int i = 0; i < Spread::kParts; ++i) {
#pragma unroll
        for (int e = 0; e < Spread::kPer; ++e) score += of_q[i * Spread::kPer + e] * to_float(k[n][i][e]);
      }
#pragma unroll
      for (int distance = Spread::kLanes / 2; distance > 0; distance /= 2) {
        score += __shfl_xor_sync(kFullWarp, score, distance);
      }
      scores[n] = base + n * Spread::kGroups + group < end ? score : -INFINITY;
      highest = fmaxf(highest, scores[n]);
    }
    const float correction = rescaling(most, highest);
    most = highest;
    total *= correction;
#pragma unroll
    for (float& sum : sums) sum *= correction;
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) {
      if (scores[n] == -INFINITY) continue;
      const float p = exp2f(scores[n] - most);
      total += p;
#pragma unroll
      for (int i = 0; i < Spread::kParts; ++i) {
#pragma unroll
        for (int e = 0; e < Spread::kPer; ++e) sums[i * Spread::kPer + e] += p * to_float(v[n][i][e]);
      }
    }
  }

  // The groups of the warp as a fixed tree.
#pragma unroll
  for (int distance = Spread::kLanes; distance < kWarpSize; distance *= 2) {
    const float highest = fmaxf(most, __shfl_xor_sync(kFullWarp, most, distance));
    const float correction = rescaling(most, highest);
    most = highest;
    total *= correction;
    total += __shfl_xor_sync(kFullWarp, total, distance);
#pragma unroll
    for (float& sum : sums) {
      sum *= correction;
      sum += __shfl_xor_sync(kFullWarp, sum, distance);
    }
  }
  // The warps in their order, a column of the result a thread. Some may have had no position, never all.
  ZHGPT_SHARED(float, of_warps, [kWarps][Spread::kWidth]);
  ZHGPT_SHARED(float, most_of_warps, [kWarps]);
  ZHGPT_SHARED(float, total_of_warps, [kWarps]);
  if (lane_id() < Spread::kLanes) {
#pragma unroll
    for (int i = 0; i < Spread::kNumbers; ++i) {
      of_warps[warp_id()][Spread::begin(i / Spread::kPer) + i % Spread::kPer] = sums[i];
    }
  }
  if (lane_id() == 0) {
    most_of_warps[warp_id()] = most;
    total_of_warps[warp_id()] = total;
  }
  __syncthreads();  // all warps' results are there
  const int c = static_cast<int>(threadIdx.x);
  if (c >= cache.HS) return;
  float highest = most_of_warps[0], result = 0, sum_of_weights = 0;
#pragma unroll
  for (int w = 1; w < kWarps; ++w) highest = fmaxf(highest, most_of_warps[w]);
#pragma unroll
  for (int w = 0; w < kWarps; ++w) {
    const float factor = exp2f(most_of_warps[w] - highest);
    result += of_warps[w][c] * factor;
    sum_of_weights += total_of_warps[w] * factor;
  }
  if (cache.splits == 1) {
    out[std::int64_t{row_head} * cache.HS + c] = from_float<T>(result / sum_of_weights);
    return;
  }
  float* of_split = partial + std::int64_t{blockIdx.x} * cache.partial_size();
  of_split[c] = result;
  if (c == 0) {
    of_split[cache.HS] = highest;
    of_split[cache.HS + 1] = sum_of_weights;
  }
}

// One block a head of a row, a thread a column: the splits that have positions, in their order.
template <class T>
__global__ void __launch_bounds__(kThreads)
    attention_decode_combine_kernel(T* out, const float* partial, const std::int32_t* lengths, Cache cache) {
  const int row_head = static_cast<int>(blockIdx.x), c = static_cast<int>(threadIdx.x);
  if (c >= cache.HS) return;
  const int splits = lengths[row_head / cache.NH] / kSplit + 1;
  const float* of_split = partial + std::int64_t{row_head} * cache.splits * cache.partial_size();
  float most = -INFINITY, result = 0, total = 0;
  for (int split = 0; split < splits; ++split, of_split += cache.partial_size()) {
    const float highest = fmaxf(most, of_split[cache.HS]);
    const float before = rescaling(most, highest), now = exp2f(of_split[cache.HS] - highest);
    most = highest;
    result = result * before + of_split[c] * now;
    total = total * before + of_split[cache.HS + 1] * now;
  }
  out[std::int64_t{row_head} * cache.HS + c] = from_float<T>(result / total);
}

// Calls f with the spread for a head size: 128-bit pieces over as few lanes as hold it, or single numbers.
template <class T, class F>
void with_spread(std::int64_t HS, bool vectors, const F& f) {
  constexpr int kPack = Pack128<T>::kSize;
  if (!vectors || HS > 32 * kPack) return f(Spread<T, 32, 1, kWidestHead / 32>{});
  if (HS <= 4 * kPack) return f(Spread<T, 4, kPack, 1>{});
  if (HS <= 8 * kPack) return f(Spread<T, 8, kPack, 1>{});
  if (HS <= 16 * kPack) return f(Spread<T, 16, kPack, 1>{});
  return f(Spread<T, 32, kPack, 1>{});
}

}  // namespace

template <class T>
void execute(Context& context, const AttentionDecode& op) {
  const std::int64_t rows_heads = op.out.dim(0) * op.out.dim(1), HS = op.out.dim(2), S = op.k_cache.dim(2);
  check_head_size(HS);
  const auto size = [](std::int64_t value) { return detail::to_parameter<int>("attention", value); };
  const Cache cache{size(op.out.dim(1)), size(HS), size(S), size((S + kSplit - 1) / kSplit)};
  const std::int64_t blocks = rows_heads * cache.splits;
  float* partial = nullptr;
  if (cache.splits > 1) {
    const auto numbers = static_cast<std::size_t>(blocks * cache.partial_size());
    partial = static_cast<float*>(context.scratch.get(numbers * sizeof(float)));
  }
  // Lengths are on the device: the cost is that of full caches.
  const double read = 2.0 * static_cast<double>(rows_heads * S * HS);
  const bool vectors = in_vectors<T>(HS, {op.qkv.data, op.k_cache.data, op.v_cache.data});
  const auto* lengths = op.lengths.as<std::int32_t>();
  with_spread<T>(HS, vectors, [&]<class Spread>(Spread) {
    ZHGPT_LAUNCH(context.stream, (Cost{.flops = 2 * read, .bytes = read * sizeof(T)}),
                 (LaunchShape{static_cast<unsigned>(blocks), kThreads}), attention_decode_kernel<Spread>,
                 op.out.as<T>(), partial, op.k_cache.as<T>(), op.v_cache.as<T>(), op.qkv.as<T>(), lengths,
                 cache);
  });
  if (cache.splits == 1) return;
  const double numbers = static_cast<double>(blocks * cache.partial_size());
  ZHGPT_LAUNCH(context.stream, (Cost{.flops = 2 * numbers, .bytes = numbers * sizeof(float)}),
               (LaunchShape{static_cast<unsigned>(rows_heads), kThreads}), attention_decode_combine_kernel<T>,
               op.out.as<T>(), partial, lengths, cache);
}

ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(AttentionDecode)

}  // namespace zhgpt::cuda
