// AttentionForward, AttentionBackward in bf16 on tensor cores, sums in f32: T. Dao, "FlashAttention-2", 2023.
//
// Four warps take 64 or 128 queries of one head (in one backward pass, keys) and go through the tiles that
// they see in order, the next tile on its way while one is worked on. Scores, probabilities and their
// gradients live in registers only; exponentials are powers of 2 with log2(e) / sqrt(HS) folded in, and
// probabilities are rounded to bf16 before a product. Backward takes two passes, by queries (dq, and D_t =
// dout_t . out_t in scratch) and by keys (dk, dv), which recompute the scores: two products more than one
// pass needs, but every number has one writer and its sum the order of the tiles, without atomics.
// Derivation: docs/numerics.md. Tiles fit the 99 KiB of shared memory of the smaller devices. Head sizes that
// are no multiple of 8 or above 128, and operands that are not aligned, go the way of attention_f32.cu.
#include "cuda/attention_cudnn.h"
#include "cuda/attention_tile.cuh"

namespace zhgpt::cuda {
namespace {

// Keys that a warp takes at a time in the forward pass; and streamed rows in shared memory and at a time in
// the backward passes.
constexpr int kKeys = 64;
template <class Tile>
constexpr int kStreamed = Tile::kWidth <= 64 ? 64 : 32;
constexpr int kStep = 32;

// Which rows of which head a block and its warp own; beyond T there are none.
template <class Tile>
struct Place {
  int head;
  int first;                  // row of the block
  int warp_row;               // first of the warp within the block,
  int warp_first, warp_last;  // within the head

  __device__ Place(int tiles, bool last_first)
      : head(static_cast<int>(blockIdx.x / static_cast<unsigned>(tiles))),
        warp_row(warp_id() * Tile::kRowsOfWarp) {
    const int tile = static_cast<int>(blockIdx.x % static_cast<unsigned>(tiles));
    first = (last_first ? tiles - 1 - tile : tile) * Tile::kRows;
    warp_first = first + warp_row;
    warp_last = warp_first + Tile::kRowsOfWarp - 1;
  }
};

// One block a tile of queries of a head, those with the most keys first, heads one after the other, so that
// the keys and values that blocks share stay in L2.
template <int kHeadSize>
__global__ void __launch_bounds__(WarpTile<kHeadSize>::kThreads, 2)
    attention_forward_bf16_kernel(bf16* out, float* lse, const bf16* qkv, Heads heads, int tiles) {
  using Tile = WarpTile<kHeadSize>;
  SharedArena arena;
  bf16* q = arena.take<bf16>(Tile::kRows * Tile::kStride);
  const auto k = arena.take_stages<bf16, 2>(kKeys * Tile::kStride);
  const auto v = arena.take_stages<bf16, 2>(kKeys * Tile::kStride);
  const Place<Tile> place(tiles, true);
  const std::int64_t stride = heads.qkv_stride();
  const bf16* q_head = qkv + heads.in_qkv(place.head);
  const bf16 *k_head = q_head + heads.channels(), *v_head = k_head + heads.channels();
  const auto fetch = [&](int tile) {
    const int first_key = tile * kKeys;
    Tile::template fetch<kKeys>(k[tile % 2], k_head, stride, first_key, heads);
    Tile::template fetch<kKeys>(v[tile % 2], v_head, stride, first_key, heads);
    cp_async_commit();
  };
  Tile::template fetch<Tile::kRows>(q, q_head, stride, place.first, heads);
  fetch(0);

  bf16* own_q = q + place.warp_row * Tile::kStride;
  std::uint32_t of_q[kHeadSize / 16][Tile::kRowTiles][4];
  typename Tile::Sums sums;
  Tile::clear(sums);
  typename Tile::OfRows most, total;
#pragma unroll
  for (int m = 0; m < Tile::kRowTiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) most[m][half] = -INFINITY, total[m][half] = 0;
  }
  const float scale = heads.scale() * kLog2E;
  const int seen = min(place.first + Tile::kRows, heads.T);
  const int key_tiles = (seen + kKeys - 1) / kKeys;
  for (int tile = 0; tile < key_tiles; ++tile) {
    cp_async_wait<0>();
    __syncthreads();  // the tile is there for all, and the one before has been read
    if (tile + 1 < key_tiles) fetch(tile + 1);
    if (tile == 0) {
#pragma unroll
      for (int i = 0; i < kHeadSize / 16; ++i) {
#pragma unroll
        for (int m = 0; m < Tile::kRowTiles; ++m) {
          Tile::load_a(of_q[i][m], own_q + 16 * m * Tile::kStride + 16 * i);
        }
      }
    }
    const int first_key = tile * kKeys;
    if (place.warp_first >= heads.T || first_key > place.warp_last) continue;
    typename Tile::template Scores<kKeys> scores;
    Tile::clear(scores);
#pragma unroll
    for (int i = 0; i < kHeadSize / 16; ++i) {
      Tile::template multiply_16<kKeys>(scores, of_q[i], k[tile % 2] + 16 * i);
    }
    // What lies beyond T is hidden as well: from the queries before it. Others are not stored.
    const bool some_hidden = first_key + kKeys - 1 > place.warp_first;
#pragma unroll
    for (int m = 0; m < Tile::kRowTiles; ++m) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int least_hidden = place.warp_first - first_key + Tile::row(m, half) + 1;
        float highest = most[m][half];
#pragma unroll
        for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
          for (int e = 0; e < 2; ++e) {
            float& score = scores[m][n][2 * half + e];
            if (some_hidden && Tile::column(n, e) >= least_hidden) score = -INFINITY;
            highest = fmaxf(highest, score);
          }
        }
        highest = Tile::reduce_row(highest, Max{});  // finite: key 0, in the first tile, is seen by all
        const float shift = highest * scale, correction = exp2_approx(most[m][half] * scale - shift);
        most[m][half] = highest;
        float sum = 0;
#pragma unroll
        for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
          for (int e = 0; e < 2; ++e) {
            float& score = scores[m][n][2 * half + e];
            sum += score = exp2_approx(score * scale - shift);
          }
        }
        total[m][half] = total[m][half] * correction + sum;  // this lane's columns only
#pragma unroll
        for (int n = 0; n < kHeadSize / 8; ++n) {
#pragma unroll
          for (int e = 0; e < 2; ++e) sums[m][n][2 * half + e] *= correction;
        }
      }
    }
    Tile::template add_product<kKeys>(sums, scores, v[tile % 2]);
  }
  typename Tile::OfRows inverse;
#pragma unroll
  for (int m = 0; m < Tile::kRowTiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float all = Tile::reduce_row(total[m][half], Sum{});
      inverse[m][half] = 1.f / all;
      const int t = place.warp_first + Tile::row(m, half);
      if (lane_id() % 4 == 0 && t < heads.T) {
        lse[heads.in_lse(place.head, t)] = most[m][half] * heads.scale() + logf(all);
      }
    }
  }
  Tile::store(out + heads.in_out(place.head), heads.out_stride(), place.warp_first, heads, own_q, sums,
              inverse);
}

// One block a tile of queries of a head: dq, and D for the pass below.
template <int kHeadSize>
__global__ void __launch_bounds__(WarpTile<kHeadSize>::kThreads, 2)
    attention_backward_q_bf16_kernel(bf16* dqkv, float* mean_dps, const bf16* dout, const bf16* out,
                                     const float* lses, const bf16* qkv, Heads heads, int tiles) {
  using Tile = WarpTile<kHeadSize>;
  constexpr int kTile = kStreamed<Tile>;
  SharedArena arena;
  bf16* q = arena.take<bf16>(Tile::kRows * Tile::kStride);
  bf16* d = arena.take<bf16>(Tile::kRows * Tile::kStride);
  const auto k = arena.take_stages<bf16, 2>(kTile * Tile::kStride);
  const auto v = arena.take_stages<bf16, 2>(kTile * Tile::kStride);
  const Place<Tile> place(tiles, true);
  const std::int64_t stride = heads.qkv_stride();
  const bf16* q_head = qkv + heads.in_qkv(place.head);
  const bf16 *k_head = q_head + heads.channels(), *v_head = k_head + heads.channels();
  const bf16 *dout_head = dout + heads.in_out(place.head), *out_head = out + heads.in_out(place.head);
  const auto fetch = [&](int tile) {
    const int first_key = tile * kTile;
    Tile::template fetch<kTile>(k[tile % 2], k_head, stride, first_key, heads);
    Tile::template fetch<kTile>(v[tile % 2], v_head, stride, first_key, heads);
    cp_async_commit();
  };
  Tile::template fetch<Tile::kRows>(q, q_head, stride, place.first, heads);
  Tile::template fetch<Tile::kRows>(d, dout_head, heads.out_stride(), place.first, heads);
  fetch(0);

  // D while the tiles are on their way: four lanes a row, as the rows of scores lie. A query beyond T has a
  // probability of 2^-inf for every key.
  typename Tile::OfRows lse, mean_dp, factor;
#pragma unroll
  for (int m = 0; m < Tile::kRowTiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int t = place.warp_first + Tile::row(m, half);
      const bool inside = t < heads.T;
      float sum = 0;
#pragma unroll
      for (int c = lane_id() % 4 * 8; c < kHeadSize; c += 32) {
        if (!inside || c >= heads.HS) continue;
        const auto of_dout = load128(dout_head + t * heads.out_stride() + c);
        const auto of_out = load128(out_head + t * heads.out_stride() + c);
#pragma unroll
        for (int e = 0; e < 8; ++e) sum += to_float(of_dout[e]) * to_float(of_out[e]);
      }
      mean_dp[m][half] = Tile::reduce_row(sum, Sum{});
      lse[m][half] = inside ? lses[heads.in_lse(place.head, t)] * kLog2E : INFINITY;
      factor[m][half] = heads.scale();
      if (inside && lane_id() % 4 == 0) mean_dps[heads.in_lse(place.head, t)] = mean_dp[m][half];
    }
  }

  bf16* own_q = q + place.warp_row * Tile::kStride;
  const bf16* own_d = d + place.warp_row * Tile::kStride;
  typename Tile::Sums dq;
  Tile::clear(dq);
  const float scale = heads.scale() * kLog2E;
  const int seen = min(place.first + Tile::kRows, heads.T);
  const int key_tiles = (seen + kTile - 1) / kTile;
  for (int tile = 0; tile < key_tiles; ++tile) {
    cp_async_wait<0>();
    __syncthreads();  // the tile is there for all, and the one before has been read
    if (tile + 1 < key_tiles) fetch(tile + 1);
#pragma unroll 1
    for (int step = 0; step < kTile; step += kStep) {
      const int first_key = tile * kTile + step;
      if (place.warp_first >= heads.T || first_key > place.warp_last) break;
      const bf16 *keys = k[tile % 2] + step * Tile::kStride, *values = v[tile % 2] + step * Tile::kStride;
      typename Tile::template Scores<kStep> scores, dp;
      Tile::template multiply<kStep>(scores, own_q, keys);
      Tile::template multiply<kStep>(dp, own_d, values);
      const bool some_hidden = first_key + kStep - 1 > place.warp_first;
      const int shift = place.warp_first - first_key;
#pragma unroll
      for (int m = 0; m < Tile::kRowTiles; ++m) {
#pragma unroll
        for (int n = 0; n < kStep / 8; ++n) {
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            float p = exp2_approx(scores[m][n][e] * scale - lse[m][e / 2]);
            if (some_hidden && Tile::column(n, e) > shift + Tile::row(m, e / 2)) p = 0;
            scores[m][n][e] = p * (dp[m][n][e] - mean_dp[m][e / 2]);
          }
        }
      }
      Tile::template add_product<kStep>(dq, scores, keys);
    }
  }
  Tile::store(dqkv + heads.in_qkv(place.head), stride, place.warp_first, heads, own_q, dq, factor);
}

// One block a tile of keys of a head: dk and dv, those with the most queries first. Scores are transposed:
// rows are keys, columns queries.
template <int kHeadSize>
__global__ void __launch_bounds__(WarpTile<kHeadSize>::kThreads, 2)
    attention_backward_kv_bf16_kernel(bf16* dqkv, const float* mean_dps, const bf16* dout, const float* lses,
                                      const bf16* qkv, Heads heads, int tiles) {
  using Tile = WarpTile<kHeadSize>;
  constexpr int kTile = kStreamed<Tile>;
  SharedArena arena;
  bf16* k = arena.take<bf16>(Tile::kRows * Tile::kStride);
  bf16* v = arena.take<bf16>(Tile::kRows * Tile::kStride);
  const auto q = arena.take_stages<bf16, 2>(kTile * Tile::kStride);
  const auto d = arena.take_stages<bf16, 2>(kTile * Tile::kStride);
  const auto of_queries = arena.take_stages<float, 2>(2 * kTile);  // lse log2(e), then D
  const Place<Tile> place(tiles, false);
  const std::int64_t stride = heads.qkv_stride();
  const bf16 *q_head = qkv + heads.in_qkv(place.head), *dout_head = dout + heads.in_out(place.head);
  const bf16 *k_head = q_head + heads.channels(), *v_head = k_head + heads.channels();
  const int thread = static_cast<int>(threadIdx.x);
  const auto fetch = [&](int tile) {
    const int first = tile * kTile;
    Tile::template fetch<kTile>(q[tile % 2], q_head, stride, first, heads);
    Tile::template fetch<kTile>(d[tile % 2], dout_head, heads.out_stride(), first, heads);
    cp_async_commit();
  };
  // A thread's part of the numbers of the tile's queries. A query beyond T has a probability of 2^-inf.
  const auto number_of_query = [&](int tile) {
    const int t = tile * kTile + thread % kTile;
    const std::int64_t at = heads.in_lse(place.head, t);
    if (thread < kTile) return t < heads.T ? lses[at] * kLog2E : INFINITY;
    return t < heads.T ? mean_dps[at] : 0.f;
  };
  static_assert(2 * kTile <= Tile::kThreads);
  const int first_tile = place.first / kTile;
  const int query_tiles = (heads.T + kTile - 1) / kTile;
  Tile::template fetch<Tile::kRows>(k, k_head, stride, place.first, heads);
  Tile::template fetch<Tile::kRows>(v, v_head, stride, place.first, heads);
  fetch(first_tile);
  float number = number_of_query(first_tile);

  bf16 *own_k = k + place.warp_row * Tile::kStride, *own_v = v + place.warp_row * Tile::kStride;
  typename Tile::Sums dk, dv;
  Tile::clear(dk);
  Tile::clear(dv);
  const float scale = heads.scale() * kLog2E;
  for (int tile = first_tile; tile < query_tiles; ++tile) {
    float* lse = of_queries[tile % 2];  // last read before the barrier of the tile before
    const float* mean_dp = lse + kTile;
    if (thread < 2 * kTile) lse[thread] = number;
    cp_async_wait<0>();
    __syncthreads();  // the tile is there for all, and the one before has been read
    if (tile + 1 < query_tiles) {
      fetch(tile + 1);
      number = number_of_query(tile + 1);
    }
#pragma unroll 1
    for (int step = 0; step < kTile; step += kStep) {
      const int first = tile * kTile + step;
      if (first + kStep - 1 < place.warp_first) continue;
      const bf16 *queries = q[tile % 2] + step * Tile::kStride, *douts = d[tile % 2] + step * Tile::kStride;
      const bool some_hidden = first < place.warp_last;
      const int shift = place.warp_first - first;
      typename Tile::template Scores<kStep> p, ds;
      Tile::template multiply<kStep>(p, own_k, queries);
#pragma unroll
      for (int n = 0; n < kStep / 8; ++n) {
#pragma unroll
        for (int m = 0; m < Tile::kRowTiles; ++m) {
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            const int query = Tile::column(n, e);
            p[m][n][e] = exp2_approx(p[m][n][e] * scale - lse[step + query]);
            if (some_hidden && shift + Tile::row(m, e / 2) > query) p[m][n][e] = 0;
          }
        }
      }
      Tile::template add_product<kStep>(dv, p, douts);
      Tile::template multiply<kStep>(ds, own_v, douts);
#pragma unroll
      for (int n = 0; n < kStep / 8; ++n) {
#pragma unroll
        for (int m = 0; m < Tile::kRowTiles; ++m) {
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            ds[m][n][e] = p[m][n][e] * (ds[m][n][e] - mean_dp[step + Tile::column(n, e)]);
          }
        }
      }
      Tile::template add_product<kStep>(dk, ds, queries);
    }
  }
  typename Tile::OfRows of_k, of_v;
#pragma unroll
  for (int m = 0; m < Tile::kRowTiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) of_k[m][half] = heads.scale(), of_v[m][half] = 1;
  }
  bf16* dk_head = dqkv + heads.in_qkv(place.head) + heads.channels();
  Tile::store(dk_head, stride, place.warp_first, heads, own_k, dk, of_k);
  Tile::store(dk_head + heads.channels(), stride, place.warp_first, heads, own_v, dv, of_v);
}

constexpr int kWidest = 128;

// Calls f with the smallest tile that holds a head.
template <class F>
void with_tile(int HS, const F& f) {
  if (HS <= 32) return f(WarpTile<32>{});
  if (HS <= 64) return f(WarpTile<64>{});
  if (HS <= 96) return f(WarpTile<96>{});
  return f(WarpTile<kWidest>{});
}

}  // namespace

template <>
void execute<bf16>(Context& context, const AttentionForward& op) {
  if (context.cudnn_attention) return context.cudnn_attention->run(context, op);
  const Heads heads(op.out);
  if (heads.HS > kWidest || !in_vectors<bf16>(heads.HS, {op.out.data, op.qkv.data})) {
    return attention_forward_plain<bf16>(context, op);
  }
  with_tile(heads.HS, [&]<class Tile>(Tile) {
    const int tiles = (heads.T + Tile::kRows - 1) / Tile::kRows;
    const std::size_t shared =
        shared_bytes<bf16>(Tile::kRows * Tile::kStride) + 4 * shared_bytes<bf16>(kKeys * Tile::kStride);
    ZHGPT_LAUNCH(context.stream, heads.cost(2, 4, sizeof(bf16), Arithmetic::bf16),
                 (LaunchShape{static_cast<unsigned>(heads.count() * tiles), Tile::kThreads, shared}),
                 attention_forward_bf16_kernel<Tile::kWidth>, op.out.as<bf16>(), op.lse.as<float>(),
                 op.qkv.as<bf16>(), heads, tiles);
  });
}

template <>
void execute<bf16>(Context& context, const AttentionBackward& op) {
  if (context.cudnn_attention) return context.cudnn_attention->run(context, op);
  const Heads heads(op.out);
  if (heads.HS > kWidest ||
      !in_vectors<bf16>(heads.HS, {op.dqkv.data, op.dout.data, op.out.data, op.qkv.data})) {
    return attention_backward_plain<bf16>(context, op);
  }
  auto* mean_dps = static_cast<float*>(
      context.scratch.get(static_cast<std::size_t>(heads.count() * heads.T) * sizeof(float)));
  const float* lse = op.lse.as<float>();
  const bf16 *qkv = op.qkv.as<bf16>(), *out = op.out.as<bf16>(), *dout = op.dout.as<bf16>();
  bf16* dqkv = op.dqkv.as<bf16>();
  with_tile(heads.HS, [&]<class Tile>(Tile) {
    const int tiles = (heads.T + Tile::kRows - 1) / Tile::kRows;
    constexpr int kTile = kStreamed<Tile>;
    const std::size_t shared =
        2 * shared_bytes<bf16>(Tile::kRows * Tile::kStride) + 4 * shared_bytes<bf16>(kTile * Tile::kStride);
    const auto shape = [&](std::size_t more) {
      return LaunchShape{static_cast<unsigned>(heads.count() * tiles), Tile::kThreads, shared + more};
    };
    ZHGPT_LAUNCH(context.stream, heads.cost(3, 6, sizeof(bf16), Arithmetic::bf16), shape(0),
                 attention_backward_q_bf16_kernel<Tile::kWidth>, dqkv, mean_dps, dout, out, lse, qkv, heads,
                 tiles);
    ZHGPT_LAUNCH(context.stream, heads.cost(4, 6, sizeof(bf16), Arithmetic::bf16),
                 shape(2 * shared_bytes<float>(2 * kTile)), attention_backward_kv_bf16_kernel<Tile::kWidth>,
                 dqkv, mean_dps, dout, lse, qkv, heads, tiles);
  });
}

}  // namespace zhgpt::cuda
