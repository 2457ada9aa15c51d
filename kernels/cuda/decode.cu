// EmbeddingDecode: out[b,:] = wte[tokens[b],:] + wpe[lengths[b],:], shapes (B, C), (B), (B), (V, C), (S, C).
// CacheKeysValues: the keys and values of qkv (T, 3, NH, HS) to the first T positions of (NH, S, HS) each.
// Both copy as they compute: a thread a pack, neighbours in memory to neighbours.
// AppendTokens: the (B) tokens that were chosen become part of their texts.
#include "cuda/launch.cuh"
#include "cuda/ops.h"
#include "cuda/packs.cuh"
#include "zhgpt/error.h"
#include "zhgpt/sampling.h"

namespace zhgpt::cuda {
namespace {

constexpr int kThreads = 256;

// A block a row.
template <class T, int kSize>
__global__ void __launch_bounds__(kThreads)
    embedding_decode_kernel(T* __restrict__ out, const std::int32_t* __restrict__ tokens,
                            const std::int32_t* __restrict__ lengths, const T* __restrict__ wte,
                            const T* __restrict__ wpe, std::int64_t C) {
  const std::int64_t b = blockIdx.x;
  const T *token = wte + tokens[b] * C, *position = wpe + lengths[b] * C;
  for (std::int64_t c = threadIdx.x * kSize; c < C; c += kThreads * kSize) {
    auto x = load_floats<kSize>(token + c);
    add(x, load_floats<kSize>(position + c));
    store_floats(out + b * C + c, x);
  }
}

// A block a position.
template <class T, int kSize>
__global__ void __launch_bounds__(kThreads)
    cache_keys_values_kernel(T* __restrict__ k_cache, T* __restrict__ v_cache, const T* __restrict__ qkv,
                             std::int64_t NH, std::int64_t S, std::int64_t HS) {
  const std::int64_t t = blockIdx.x, C = NH * HS;
  for (std::int64_t c = threadIdx.x * kSize; c < C; c += kThreads * kSize) {
    const std::int64_t to = (c / HS * S + t) * HS + c % HS;
    store_pack(k_cache + to, load_pack<kSize>(qkv + (t * 3 + 1) * C + c));
    store_pack(v_cache + to, load_pack<kSize>(qkv + (t * 3 + 2) * C + c));
  }
}

// A thread a row.
__global__ void __launch_bounds__(kThreads)
    append_tokens_kernel(std::int32_t* inputs, std::int32_t* recent, std::int32_t* written,
                         std::int32_t* positions, std::int32_t* lengths, const std::int32_t* tokens,
                         std::int64_t B, std::int64_t R, std::int64_t K) {
  const std::int64_t b = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (b >= B) return;
  const std::int32_t token = tokens[b], position = positions[b];
  inputs[b] = token == kNoToken ? 0 : token;
  recent[b * R + position % R] = token;
  written[b * K + position % K] = token;
  positions[b] = position + 1;
  ++lengths[b];
}

}  // namespace

template <class T>
void execute(Context& context, const EmbeddingDecode& op) {
  const std::int64_t B = op.out.dim(0), C = op.out.dim(1);
  const double numbers = static_cast<double>(B * C);
  with_pack_size<T>(in_packs<T>(C, {op.out.data, op.wte.data, op.wpe.data}), [&](auto size) {
    ZHGPT_LAUNCH(context.stream, (Cost{.flops = numbers, .bytes = 3 * numbers * sizeof(T)}),
                 (LaunchShape{static_cast<unsigned>(B), kThreads}),
                 (embedding_decode_kernel<T, decltype(size)::value>), op.out.as<T>(),
                 op.tokens.as<std::int32_t>(), op.lengths.as<std::int32_t>(), op.wte.as<T>(), op.wpe.as<T>(),
                 C);
  });
}

template <class T>
void execute(Context& context, const CacheKeysValues& op) {
  const std::int64_t NH = op.k_cache.dim(0), S = op.k_cache.dim(1), HS = op.k_cache.dim(2),
                     T_ = op.qkv.dim(0);
  with_pack_size<T>(in_packs<T>(HS, {op.k_cache.data, op.v_cache.data, op.qkv.data}), [&](auto size) {
    ZHGPT_LAUNCH(context.stream, (Cost{.bytes = 4.0 * static_cast<double>(T_ * NH * HS) * sizeof(T)}),
                 (LaunchShape{static_cast<unsigned>(T_), kThreads}),
                 (cache_keys_values_kernel<T, decltype(size)::value>), op.k_cache.as<T>(), op.v_cache.as<T>(),
                 op.qkv.as<T>(), NH, S, HS);
  });
}

template <class T>
void execute(Context& context, const AppendTokens& op) {
  const std::int64_t B = op.tokens.dim(0);
  ZHGPT_LAUNCH(context.stream, (Cost{.bytes = 32.0 * static_cast<double>(B)}),
               (LaunchShape{blocks_for(B, kThreads), kThreads}), append_tokens_kernel,
               op.inputs.as<std::int32_t>(), op.recent.as<std::int32_t>(), op.written.as<std::int32_t>(),
               op.positions.as<std::int32_t>(), op.lengths.as<std::int32_t>(), op.tokens.as<std::int32_t>(),
               B, op.recent.dim(1), op.written.dim(1));
}

// Backend::packs_weights says no.
template <class T>
void execute(Context&, const PackWeight&) {
  throw ConfigError("PackWeight: the CUDA backend multiplies by weights as they are");
}
template <class T>
void execute(Context&, const PackedLinear&) {
  throw ConfigError("PackedLinear: the CUDA backend multiplies by weights as they are");
}

ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(EmbeddingDecode)
ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(CacheKeysValues)
ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(AppendTokens)
ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(PackWeight)
ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(PackedLinear)

}  // namespace zhgpt::cuda
