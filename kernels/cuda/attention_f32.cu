// AttentionForward, AttentionBackward in f32 arithmetic; and in bf16 memory where the tensor cores do not
// fit.
//
// A block takes a tile of queries (in one backward pass, of keys) of one head and goes through the tiles that
// it sees in order, so that the scores live in one tile of shared memory: T. Dao, "FlashAttention-2", 2023;
// online softmax: M. Milakov, N. Gimelshein, 2018. Backward takes two passes, one by queries (dq, and the
// sums D_t = dout_t . out_t in scratch) and one by keys (dk, dv): every number has one writer and its sum the
// order of the tiles. Derivation: docs/numerics.md.
#include "cuda/attention.cuh"

namespace zhgpt::cuda {
namespace {

constexpr int kThreads = 256;

// The tile of a thread is kPer x kPer scores: rows y kPer + i, columns x + 16 j, for x = thread % 16 and y =
// thread / 16; and of (kRows, kWidth) sums kPer rows and kColumns columns in parts of kPart neighbours. Rows
// of shared memory are 4 longer than they need be, so that the 8 rows that a quarter of a warp reads 128 bits
// of lie in different banks. 64 rows give a thread 64 multiplications for 8 such reads; heads over 64 take
// fewer rows, so that four tiles fit the 99 KiB of the smaller devices.
template <int kHeadSize>  // that of the model or the next of 32, 64, 128, 256; the rest of a row is zeros
struct Tile {
  static constexpr int kWidth = kHeadSize;
  static constexpr int kRows = kWidth <= 64 ? 64 : kWidth == 128 ? 32 : 16;
  static constexpr int kPer = kRows / 16;
  static constexpr int kColumns = kWidth / 16;
  static constexpr int kPart = kColumns < 4 ? kColumns : 4;
  static constexpr int kStride = kWidth + 4;
  static constexpr int kScoreStride = kRows + 4;
  static constexpr std::size_t bytes(int tiles) {
    return static_cast<std::size_t>(tiles) * shared_bytes<float>(kRows * kStride) +
           shared_bytes<float>(kRows * kScoreStride);
  }
  using Scores = float[kPer][kPer];
  using Sums = float[kPer][kColumns];

  __device__ static int x() { return static_cast<int>(threadIdx.x) % 16; }
  __device__ static int y() { return static_cast<int>(threadIdx.x) / 16; }
  __device__ static int row(int i) { return y() * kPer + i; }
  __device__ static int column(int c) { return c / kPart * 16 * kPart + x() * kPart + c % kPart; }

  __device__ static float* take(SharedArena& arena) { return arena.take<float>(kRows * kStride); }
  __device__ static float* take_scores(SharedArena& arena) { return arena.take<float>(kRows * kScoreStride); }

  // Rows `first` and on of a head into shared memory; what lies beyond T or HS is zero.
  template <bool kVector, class T>
  __device__ static void load(float* tile, const T* head, std::int64_t stride, int first,
                              const Heads& heads) {
    constexpr int kStep = kVector ? 4 : 1;
#pragma unroll 2
    for (int i = static_cast<int>(threadIdx.x); i < kRows * kWidth / kStep; i += kThreads) {
      const int r = i / (kWidth / kStep), c = i % (kWidth / kStep) * kStep;
      const bool inside = first + r < heads.T && c < heads.HS;
      const T* from = head + (first + r) * stride + c;
      if constexpr (kVector) {
        store128(tile + r * kStride + c, inside ? load128(from) : Pack128<float>{});
      } else {
        tile[r * kStride + c] = inside ? to_float(*from) : 0.f;
      }
    }
  }
  template <bool kVector, class T>
  __device__ static void store(T* head, std::int64_t stride, int first, const Heads& heads, const Sums& sums,
                               const float (&factor)[kPer]) {
#pragma unroll
    for (int i = 0; i < kPer; ++i) {
      if (first + row(i) >= heads.T) continue;
      T* to = head + (first + row(i)) * stride;
#pragma unroll
      for (int c = 0; c < kColumns; c += kPart) {
        if constexpr (kVector && kPart == 4) {
          Pack128<float> pack;
#pragma unroll
          for (int e = 0; e < 4; ++e) pack[e] = sums[i][c + e] * factor[i];
          if (column(c) < heads.HS) store128(to + column(c), pack);
        } else {
#pragma unroll
          for (int e = 0; e < kPart; ++e) {
            if (column(c + e) < heads.HS) to[column(c + e)] = from_float<T>(sums[i][c + e] * factor[i]);
          }
        }
      }
    }
  }

  // scores = a . b^T
  __device__ static void multiply(Scores& scores, const float* a, const float* b) {
#pragma unroll
    for (int i = 0; i < kPer; ++i) {
#pragma unroll
      for (int j = 0; j < kPer; ++j) scores[i][j] = 0;
    }
#pragma unroll 1
    for (int d = 0; d < kWidth; d += 4) {
      Pack128<float> of_a[kPer], of_b[kPer];
#pragma unroll
      for (int i = 0; i < kPer; ++i) {
        of_a[i] = load128(a + row(i) * kStride + d);
        of_b[i] = load128(b + (x() + 16 * i) * kStride + d);
      }
#pragma unroll
      for (int e = 0; e < 4; ++e) {
#pragma unroll
        for (int i = 0; i < kPer; ++i) {
#pragma unroll
          for (int j = 0; j < kPer; ++j) scores[i][j] += of_a[i][e] * of_b[j][e];
        }
      }
    }
  }
  __device__ static void write(float* to, const Scores& scores) {
#pragma unroll
    for (int i = 0; i < kPer; ++i) {
#pragma unroll
      for (int j = 0; j < kPer; ++j) to[row(i) * kScoreStride + x() + 16 * j] = scores[i][j];
    }
  }
  // sums += scores . b, or with kTransposed scores^T . b
  template <bool kTransposed>
  __device__ static void add_product(Sums& sums, const float* scores, const float* b) {
#pragma unroll 2
    for (int k = 0; k < kRows; ++k) {
      float of_b[kColumns];
#pragma unroll
      for (int c = 0; c < kColumns; c += kPart) {
        if constexpr (kPart == 4) {
          const Pack128<float> pack = load128(b + k * kStride + column(c));
#pragma unroll
          for (int e = 0; e < 4; ++e) of_b[c + e] = pack[e];
        } else {
#pragma unroll
          for (int e = 0; e < kPart; ++e) of_b[c + e] = b[k * kStride + column(c + e)];
        }
      }
#pragma unroll
      for (int i = 0; i < kPer; ++i) {
        const float of_scores =
            kTransposed ? scores[k * kScoreStride + row(i)] : scores[row(i) * kScoreStride + k];
#pragma unroll
        for (int c = 0; c < kColumns; ++c) sums[i][c] += of_scores * of_b[c];
      }
    }
  }
  // Combines the 16 threads of a row; all of them get the result.
  template <class Op>
  __device__ static float reduce_row(float value, Op op) {
#pragma unroll
    for (int distance = 8; distance > 0; distance /= 2) {
      value = op(value, __shfl_xor_sync(kFullWarp, value, distance));
    }
    return value;
  }
};

// One block a tile of queries of a head, those with the most keys first, heads one after the other, so that
// the keys and values that blocks share stay in L2.
template <class T, int kHeadSize, bool kVector>
__global__ void __launch_bounds__(kThreads, 2)
    attention_forward_kernel(T* out, float* lse, const T* qkv, Heads heads, int tiles) {
  using Tile = Tile<kHeadSize>;
  SharedArena arena;
  float *q = Tile::take(arena), *kv = Tile::take(arena), *p = Tile::take_scores(arena);
  const int head = static_cast<int>(blockIdx.x / static_cast<unsigned>(tiles));
  const std::int64_t stride = heads.qkv_stride();
  const int tile = tiles - 1 - static_cast<int>(blockIdx.x % static_cast<unsigned>(tiles));
  const int first = tile * Tile::kRows;
  const T* q_head = qkv + heads.in_qkv(head);
  const T *k_head = q_head + heads.channels(), *v_head = k_head + heads.channels();
  const float scale = heads.scale() * kLog2E;

  typename Tile::Sums sums = {};
  float most[Tile::kPer], total[Tile::kPer];
#pragma unroll
  for (int i = 0; i < Tile::kPer; ++i) most[i] = -INFINITY, total[i] = 0;
  Tile::template load<kVector>(q, q_head, stride, first, heads);
  for (int of_keys = 0; of_keys <= tile; ++of_keys) {
    const int first_key = of_keys * Tile::kRows;
    Tile::template load<kVector>(kv, k_head, stride, first_key, heads);
    __syncthreads();  // q and the keys are there
    typename Tile::Scores scores;
    Tile::multiply(scores, q, kv);
#pragma unroll
    for (int i = 0; i < Tile::kPer; ++i) {
      float highest = most[i];
#pragma unroll
      for (int j = 0; j < Tile::kPer; ++j) {
        if (of_keys == tile && Tile::x() + 16 * j > Tile::row(i)) scores[i][j] = -INFINITY;
        highest = fmaxf(highest, scores[i][j]);
      }
      highest = Tile::reduce_row(highest, Max{});  // finite: a query sees the first key of the first tile
      const float correction = exp2f((most[i] - highest) * scale);
      most[i] = highest;
      total[i] *= correction;
#pragma unroll
      for (int j = 0; j < Tile::kPer; ++j) total[i] += scores[i][j] = exp2f((scores[i][j] - highest) * scale);
#pragma unroll
      for (int c = 0; c < Tile::kColumns; ++c) sums[i][c] *= correction;
    }
    Tile::write(p, scores);
    __syncthreads();  // the keys have been read
    Tile::template load<kVector>(kv, v_head, stride, first_key, heads);
    __syncthreads();  // p and the values are there
    Tile::template add_product<false>(sums, p, kv);
    __syncthreads();  // both have been read
  }
  float inverse[Tile::kPer];
#pragma unroll
  for (int i = 0; i < Tile::kPer; ++i) {
    total[i] = Tile::reduce_row(total[i], Sum{});
    inverse[i] = 1.f / total[i];
    const int t = first + Tile::row(i);
    if (Tile::x() == 0 && t < heads.T) {
      lse[heads.in_lse(head, t)] = most[i] * heads.scale() + logf(total[i]);
    }
  }
  Tile::template store<kVector>(out + heads.in_out(head), heads.out_stride(), first, heads, sums, inverse);
}

// p = exp(scale scores - lse), ds = p (dp - D), both 0 where a key is hidden or a query lies beyond T.
template <class Tile>
__device__ void probabilities(typename Tile::Scores& scores, typename Tile::Scores& dp, int first,
                              int first_key, const float (&lse)[Tile::kPer],
                              const float (&mean_dp)[Tile::kPer], float scale) {
#pragma unroll
  for (int i = 0; i < Tile::kPer; ++i) {
#pragma unroll
    for (int j = 0; j < Tile::kPer; ++j) {
      const bool hidden = first_key + Tile::x() + 16 * j > first + Tile::row(i);
      scores[i][j] = hidden ? 0.f : exp2f((scores[i][j] * scale - lse[i]) * kLog2E);
      dp[i][j] = scores[i][j] * (dp[i][j] - mean_dp[i]);
    }
  }
}

// One block a tile of queries of a head: dq, and D for the pass below.
template <class T, int kHeadSize, bool kVector>
__global__ void __launch_bounds__(kThreads, 2)
    attention_backward_q_kernel(T* dqkv, float* mean_dps, const T* dout, const T* out, const float* lses,
                                const T* qkv, Heads heads, int tiles) {
  using Tile = Tile<kHeadSize>;
  SharedArena arena;
  float *q = Tile::take(arena), *d = Tile::take(arena), *kv = Tile::take(arena),
        *ds = Tile::take_scores(arena);
  const int head = static_cast<int>(blockIdx.x / static_cast<unsigned>(tiles));
  const std::int64_t stride = heads.qkv_stride();
  const int tile = tiles - 1 - static_cast<int>(blockIdx.x % static_cast<unsigned>(tiles));
  const int first = tile * Tile::kRows;
  const T* q_head = qkv + heads.in_qkv(head);
  const T *k_head = q_head + heads.channels(), *v_head = k_head + heads.channels();
  const T *dout_head = dout + heads.in_out(head), *out_head = out + heads.in_out(head);

  float lse[Tile::kPer], mean_dp[Tile::kPer];
#pragma unroll
  for (int i = 0; i < Tile::kPer; ++i) {
    const int t = first + Tile::row(i);
    lse[i] = t < heads.T ? lses[heads.in_lse(head, t)] : INFINITY;
    float sum = 0;
    if (t < heads.T) {
      const std::int64_t at = t * heads.out_stride();
      for (int c = Tile::x(); c < heads.HS; c += 16) {
        sum += to_float(dout_head[at + c]) * to_float(out_head[at + c]);
      }
    }
    mean_dp[i] = Tile::reduce_row(sum, Sum{});
    if (Tile::x() == 0 && t < heads.T) mean_dps[heads.in_lse(head, t)] = mean_dp[i];
  }
  Tile::template load<kVector>(q, q_head, stride, first, heads);
  Tile::template load<kVector>(d, dout_head, heads.out_stride(), first, heads);
  typename Tile::Sums sums = {};
  for (int of_keys = 0; of_keys <= tile; ++of_keys) {
    const int first_key = of_keys * Tile::kRows;
    typename Tile::Scores scores, dp;
    Tile::template load<kVector>(kv, v_head, stride, first_key, heads);
    __syncthreads();  // q, dout and the values are there
    Tile::multiply(dp, d, kv);
    __syncthreads();  // the values have been read
    Tile::template load<kVector>(kv, k_head, stride, first_key, heads);
    __syncthreads();  // the keys are there
    Tile::multiply(scores, q, kv);
    probabilities<Tile>(scores, dp, first, first_key, lse, mean_dp, heads.scale());
    Tile::write(ds, dp);
    __syncthreads();  // ds is there
    Tile::template add_product<false>(sums, ds, kv);
    __syncthreads();  // ds and the keys have been read
  }
  float factor[Tile::kPer];
#pragma unroll
  for (float& f : factor) f = heads.scale();
  Tile::template store<kVector>(dqkv + heads.in_qkv(head), stride, first, heads, sums, factor);
}

// One block a tile of keys of a head: dk and dv, those with the most queries first.
template <class T, int kHeadSize, bool kVector>
__global__ void __launch_bounds__(kThreads, 2)
    attention_backward_kv_kernel(T* dqkv, const float* mean_dps, const T* dout, const float* lses,
                                 const T* qkv, Heads heads, int tiles) {
  using Tile = Tile<kHeadSize>;
  SharedArena arena;
  float *k = Tile::take(arena), *v = Tile::take(arena), *q = Tile::take(arena), *d = Tile::take(arena),
        *p = Tile::take_scores(arena);
  const int head = static_cast<int>(blockIdx.x / static_cast<unsigned>(tiles));
  const std::int64_t stride = heads.qkv_stride();
  const int tile = static_cast<int>(blockIdx.x % static_cast<unsigned>(tiles));
  const int first_key = tile * Tile::kRows;
  const T *q_head = qkv + heads.in_qkv(head), *dout_head = dout + heads.in_out(head);
  const T *k_head = q_head + heads.channels(), *v_head = k_head + heads.channels();

  Tile::template load<kVector>(k, k_head, stride, first_key, heads);
  Tile::template load<kVector>(v, v_head, stride, first_key, heads);
  typename Tile::Sums dk = {}, dv = {};
  for (int of_queries = tile; of_queries < tiles; ++of_queries) {
    const int first = of_queries * Tile::kRows;
    Tile::template load<kVector>(q, q_head, stride, first, heads);
    Tile::template load<kVector>(d, dout_head, heads.out_stride(), first, heads);
    __syncthreads();  // all four tiles are there
    typename Tile::Scores scores, dp;
    Tile::multiply(scores, q, k);
    Tile::multiply(dp, d, v);
    float lse[Tile::kPer], mean_dp[Tile::kPer];
#pragma unroll
    for (int i = 0; i < Tile::kPer; ++i) {
      const int t = first + Tile::row(i);
      lse[i] = t < heads.T ? lses[heads.in_lse(head, t)] : INFINITY;
      mean_dp[i] = t < heads.T ? mean_dps[heads.in_lse(head, t)] : 0.f;
    }
    probabilities<Tile>(scores, dp, first, first_key, lse, mean_dp, heads.scale());
    Tile::write(p, scores);
    __syncthreads();  // p is there
    Tile::template add_product<true>(dv, p, d);
    __syncthreads();  // p has been read: ds takes its place
    Tile::write(p, dp);
    __syncthreads();  // ds is there
    Tile::template add_product<true>(dk, p, q);
    __syncthreads();  // ds, q and dout have been read
  }
  float of_k[Tile::kPer], of_v[Tile::kPer];
#pragma unroll
  for (int i = 0; i < Tile::kPer; ++i) of_k[i] = heads.scale(), of_v[i] = 1;
  T* dk_head = dqkv + heads.in_qkv(head) + heads.channels();
  Tile::template store<kVector>(dk_head, stride, first_key, heads, dk, of_k);
  Tile::template store<kVector>(dk_head + heads.channels(), stride, first_key, heads, dv, of_v);
}

// Calls f with the smallest tile that holds a head.
template <class F>
void with_tile(int HS, const F& f) {
  if (HS <= 32) return f(Tile<32>{});
  if (HS <= 64) return f(Tile<64>{});
  if (HS <= 128) return f(Tile<128>{});
  check_head_size(HS);
  return f(Tile<kWidestHead>{});
}

template <class T, bool kVector>
void forward(Context& context, const AttentionForward& op) {
  const Heads heads(op.out);
  with_tile(heads.HS, [&]<class Tile>(Tile) {
    const int tiles = (heads.T + Tile::kRows - 1) / Tile::kRows;
    const LaunchShape shape{static_cast<unsigned>(heads.count() * tiles), kThreads, Tile::bytes(2)};
    ZHGPT_LAUNCH(context.stream, heads.cost(2, 4, sizeof(T), Arithmetic::fp32), shape,
                 (attention_forward_kernel<T, Tile::kWidth, kVector>), op.out.as<T>(), op.lse.as<float>(),
                 op.qkv.as<T>(), heads, tiles);
  });
}

template <class T, bool kVector>
void backward(Context& context, const AttentionBackward& op) {
  const Heads heads(op.out);
  auto* mean_dps = static_cast<float*>(
      context.scratch.get(static_cast<std::size_t>(heads.count() * heads.T) * sizeof(float)));
  const float* lse = op.lse.as<float>();
  const T *qkv = op.qkv.as<T>(), *out = op.out.as<T>(), *dout = op.dout.as<T>();
  T* dqkv = op.dqkv.as<T>();
  with_tile(heads.HS, [&]<class Tile>(Tile) {
    const int tiles = (heads.T + Tile::kRows - 1) / Tile::kRows;
    const auto shape = [&](int in_shared) {
      return LaunchShape{static_cast<unsigned>(heads.count() * tiles), kThreads, Tile::bytes(in_shared)};
    };
    ZHGPT_LAUNCH(context.stream, heads.cost(3, 6, sizeof(T), Arithmetic::fp32), shape(3),
                 (attention_backward_q_kernel<T, Tile::kWidth, kVector>), dqkv, mean_dps, dout, out, lse, qkv,
                 heads, tiles);
    ZHGPT_LAUNCH(context.stream, heads.cost(4, 6, sizeof(T), Arithmetic::fp32), shape(4),
                 (attention_backward_kv_kernel<T, Tile::kWidth, kVector>), dqkv, mean_dps, dout, lse, qkv,
                 heads, tiles);
  });
}

}  // namespace

template <class T>
void attention_forward_plain(Context& context, const AttentionForward& op) {
  if constexpr (std::is_same_v<T, float>) {
    if (in_vectors<T>(op.out.dim(3), {op.out.data, op.qkv.data})) return forward<T, true>(context, op);
  }
  forward<T, false>(context, op);
}
template <class T>
void attention_backward_plain(Context& context, const AttentionBackward& op) {
  if constexpr (std::is_same_v<T, float>) {
    if (in_vectors<T>(op.out.dim(3), {op.dqkv.data, op.dout.data, op.qkv.data})) {
      return backward<T, true>(context, op);
    }
  }
  backward<T, false>(context, op);
}
template void attention_forward_plain<bf16>(Context&, const AttentionForward&);
template void attention_backward_plain<bf16>(Context&, const AttentionBackward&);

template <>
void execute<float>(Context& context, const AttentionForward& op) {
  attention_forward_plain<float>(context, op);
}
template <>
void execute<float>(Context& context, const AttentionBackward& op) {
  attention_backward_plain<float>(context, op);
}

}  // namespace zhgpt::cuda
