// EmbeddingDecode: out[b,:] = wte[tokens[b],:] + wpe[lengths[b],:], shapes (B, C), (B), (B), (V, C), (S, C).
// CacheKeysValues: the keys and values of qkv (T, 3, NH, HS) to the first T positions of (NH, S, HS) each.
// Both copy as they compute: a thread an element, neighbours in memory to neighbours.
#include "cuda/launch.cuh"
#include "cuda/ops.h"
#include "cuda/packs.cuh"
#include "zhgpt/error.h"

namespace zhgpt::cuda {
namespace {

constexpr int kThreads = 256;

// A block a row.
template <class T>
__global__ void __launch_bounds__(kThreads)
    embedding_decode_kernel(T* __restrict__ out, const std::int32_t* __restrict__ tokens,
                            const std::int32_t* __restrict__ lengths, const T* __restrict__ wte,
                            const T* __restrict__ wpe, std::int64_t C) {
  const std::int64_t b = blockIdx.x;
  const T *token = wte + tokens[b] * C, *position = wpe + lengths[b] * C;
  for (std::int64_t c = threadIdx.x; c < C; c += kThreads) {
    auto x = load_floats<1>(token + c);
    add(x, load_floats<1>(position + c));
    store_floats(out + b * C + c, x);
  }
}

// A block a position.
template <class T>
__global__ void __launch_bounds__(kThreads)
    cache_keys_values_kernel(T* __restrict__ k_cache, T* __restrict__ v_cache, const T* __restrict__ qkv,
                             std::int64_t NH, std::int64_t S, std::int64_t HS) {
  const std::int64_t t = blockIdx.x, C = NH * HS;
  for (std::int64_t c = threadIdx.x; c < C; c += kThreads) {
    const std::int64_t to = (c / HS * S + t) * HS + c % HS;
    k_cache[to] = qkv[(t * 3 + 1) * C + c];
    v_cache[to] = qkv[(t * 3 + 2) * C + c];
  }
}

}  // namespace

template <class T>
void execute(Context& context, const EmbeddingDecode& op) {
  const std::int64_t B = op.out.dim(0), C = op.out.dim(1);
  const double numbers = static_cast<double>(B * C);
  ZHGPT_LAUNCH(context.stream, (Cost{.flops = numbers, .bytes = 3 * numbers * sizeof(T)}),
               (LaunchShape{static_cast<unsigned>(B), kThreads}), embedding_decode_kernel<T>, op.out.as<T>(),
               op.tokens.as<std::int32_t>(), op.lengths.as<std::int32_t>(), op.wte.as<T>(), op.wpe.as<T>(),
               C);
}

template <class T>
void execute(Context& context, const CacheKeysValues& op) {
  const std::int64_t NH = op.k_cache.dim(0), S = op.k_cache.dim(1), HS = op.k_cache.dim(2),
                     T_ = op.qkv.dim(0);
  ZHGPT_LAUNCH(context.stream, (Cost{.bytes = 4.0 * static_cast<double>(T_ * NH * HS) * sizeof(T)}),
               (LaunchShape{static_cast<unsigned>(T_), kThreads}), cache_keys_values_kernel<T>,
               op.k_cache.as<T>(), op.v_cache.as<T>(), op.qkv.as<T>(), NH, S, HS);
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
ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(PackWeight)
ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(PackedLinear)

}  // namespace zhgpt::cuda
