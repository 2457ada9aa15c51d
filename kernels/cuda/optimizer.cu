// BeginStep, AccumulateLoss, GlobalNorm, AdamW, AdvanceStep: the two ends of a step, over the flat arenas.
// What a step decides (rate, loss, norm, clip factor) stays in the StepState in device memory.
//
// Sums are taken in double, each thread over every so many numbers, then as the trees of block_sum; how many
// threads there are depends on the length alone. AdamW (I. Loshchilov, F. Hutter, 2019) moves 28 bytes a
// parameter, 30 with the bf16 copy, and each number once:
//   m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, with g = clip_scale * grads
//   params = (1 - rate * decay) params - rate / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + eps)
#include <algorithm>

#include "cuda/error.h"
#include "cuda/launch.cuh"
#include "cuda/ops.h"

namespace zhgpt::cuda {
namespace {

constexpr int kThreads = 256;
// Eight blocks of 256 threads fill an SM: one wave, or little more, on a device of about 130.
constexpr std::int64_t kMostBlocks = 1024;
constexpr int kSumThreads = 1024;  // of a block that works alone
constexpr int kAdamWBlocks = 4;    // on an SM at once, which leaves a thread 64 registers

bool aligned(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0;
}

// ---- sums -------------------------------------------------------------------------------------------------

struct Itself {
  __device__ __forceinline__ double operator()(float x) const { return static_cast<double>(x); }
};
struct Square {
  __device__ __forceinline__ double operator()(float x) const {
    const double wide = static_cast<double>(x);
    return wide * wide;
  }
};

// This thread's share of the sum of term(x[i]) over i < n, four 128-bit reads in flight where x allows it.
template <bool kVectors, class Term>
__device__ __forceinline__ double share_of_sum(const float* x, std::int64_t n, Term term) {
  const std::int64_t thread = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x,
                     threads = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  double sum = 0;
  std::int64_t done = 0;
  if constexpr (kVectors) {
    const std::int64_t packs = n / 4;
#pragma unroll 4
    for (std::int64_t i = thread; i < packs; i += threads) {
      const auto pack = load128(x + i * 4);
      sum += (term(pack[0]) + term(pack[1])) + (term(pack[2]) + term(pack[3]));
    }
    done = packs * 4;
  }
  for (std::int64_t i = done + thread; i < n; i += threads) sum += term(x[i]);
  return sum;
}

// One block: state->loss = before + scale * sum of losses (N).
template <bool kVectors>
__global__ void __launch_bounds__(kSumThreads)
    accumulate_loss_kernel(StepState* state, const float* losses, std::int64_t N, double scale, bool first) {
  const double sum = block_sum(share_of_sum<kVectors>(losses, N, Itself{}));
  if (threadIdx.x != 0) return;
  state->loss = static_cast<float>((first ? 0. : static_cast<double>(state->loss)) + scale * sum);
}

// Thread: every so manyth number of x (n); block: partial[block] = sum of their squares.
template <bool kVectors>
__global__ void __launch_bounds__(kThreads) squares_kernel(double* partial, const float* x, std::int64_t n) {
  const double sum = block_sum(share_of_sum<kVectors>(x, n, Square{}));
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// One block, a thread a partial sum: norm and clip factor into the state.
__global__ void __launch_bounds__(kMostBlocks)
    finish_norm_kernel(StepState* state, const double* partial, int count, double max_norm) {
  const int mine = static_cast<int>(threadIdx.x);
  const double norm = sqrt(block_sum(mine < count ? partial[mine] : 0.));
  if (mine != 0) return;
  const float narrow = static_cast<float>(norm);
  const bool finite = isfinite(state->loss) && isfinite(narrow);
  const double scale = max_norm > 0 && norm > max_norm ? max_norm / norm : 1;
  state->grad_norm = narrow;
  state->clip_scale = finite ? static_cast<float>(scale) : 0.f;
}

// ---- AdamW ------------------------------------------------------------------------------------------------

struct AdamWOptions {
  double beta1, beta2, eps, weight_decay;
};

// The scalars of one update.
struct AdamWFactors {
  float clip, beta1, beta2, one_minus_beta1, one_minus_beta2, step_size, inverse_root_correction2, eps, keep;
};

// base^exponent by squaring: a few dozen products, where pow would cost the kernel its registers.
__device__ __forceinline__ double power(double base, std::int64_t exponent) {
  double result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result *= base;
    base *= base;
  }
  return result;
}

__device__ __forceinline__ AdamWFactors factors_of(const StepState& state, const AdamWOptions& options) {
  const std::int64_t t = state.updates + 1;
  const double rate = static_cast<double>(state.learning_rate);
  return {state.clip_scale,
          static_cast<float>(options.beta1),
          static_cast<float>(options.beta2),
          static_cast<float>(1 - options.beta1),
          static_cast<float>(1 - options.beta2),
          static_cast<float>(rate / (1 - power(options.beta1, t))),
          static_cast<float>(1 / sqrt(1 - power(options.beta2, t))),
          static_cast<float>(options.eps),
          static_cast<float>(1 - rate * options.weight_decay)};
}

// The same for all threads of the block, computed by one of them. Every thread calls it.
__device__ __forceinline__ AdamWFactors block_factors(const StepState& state, const AdamWOptions& options) {
  ZHGPT_SHARED(AdamWFactors, shared_factors, [1]);
  if (threadIdx.x == 0) shared_factors[0] = factors_of(state, options);
  __syncthreads();  // they are there
  return shared_factors[0];
}

__device__ __forceinline__ void update(float& param, float& m, float& v, float grad, float keep,
                                       const AdamWFactors& f) {
  const float g = grad * f.clip;
  m = fmaf(f.beta1, m, f.one_minus_beta1 * g);
  v = fmaf(f.beta2, v, f.one_minus_beta2 * (g * g));
  const float root = fmaf(sqrtf(v), f.inverse_root_correction2, f.eps);
  param = fmaf(keep, param, -f.step_size * (m / root));
}

// Four parameters of a lane and what belongs to them.
struct Four {
  Pack128<float> params{}, m{}, v{}, grads{};

  __device__ __forceinline__ void load(const float* p, const float* first, const float* second,
                                       const float* g) {
    params = load128(p);
    m = load128(first);
    v = load128(second);
    grads = load128_streaming(g);
  }
  __device__ __forceinline__ void step(std::int64_t index, std::int64_t n_decay, const AdamWFactors& f) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      update(params[i], m[i], v[i], grads[i], index + i < n_decay ? f.keep : 1.f, f);
    }
  }
  __device__ __forceinline__ void store(float* p, float* first, float* second) const {
    store128(p, params);
    store128(first, m);
    store128(second, v);
  }
};

// What a lane stores of the bf16 copy, eight parameters that lie together: an even lane its own four near
// ones and its right neighbour's, an odd lane its left neighbour's far ones and its own. All lanes call it.
__device__ __forceinline__ Pack128<std::uint32_t> rounded(const Pack128<float>& near,
                                                          const Pack128<float>& far) {
  const bool odd = lane_id() % 2 == 1;
  const std::uint32_t near0 = pack_bf16(near[0], near[1]), near1 = pack_bf16(near[2], near[3]),
                      far0 = pack_bf16(far[0], far[1]), far1 = pack_bf16(far[2], far[3]);
  const std::uint32_t got0 = __shfl_xor_sync(kFullWarp, odd ? near0 : far0, 1),
                      got1 = __shfl_xor_sync(kFullWarp, odd ? near1 : far1, 1);
  return odd ? Pack128<std::uint32_t>{{got0, got1, far0, far1}}
             : Pack128<std::uint32_t>{{near0, near1, got0, got1}};
}

constexpr std::int64_t kWarpParams = 8 * kWarpSize;

// Warp: kWarpParams parameters at a time, a lane four near ones and four far ones, so that every access is of
// 128 bits and those of a warp leave no gap; eight reads a lane are in flight.
// REQUIRES: P is a multiple of 8, all addresses of 16.
template <bool kWorking>
__global__ void __launch_bounds__(kThreads, kAdamWBlocks)
    adamw_kernel(float* params, float* m, float* v, bf16* working, const float* grads, std::int64_t P,
                 std::int64_t n_decay, AdamWOptions options, const StepState* state) {
  if (state->clip_scale == 0) return;
  const AdamWFactors f = block_factors(*state, options);
  const std::int64_t warp = static_cast<std::int64_t>(blockIdx.x) * warps_in_block() + warp_id(),
                     warps = static_cast<std::int64_t>(gridDim.x) * warps_in_block();
  for (std::int64_t begin = warp * kWarpParams; begin < P; begin += warps * kWarpParams) {
    const std::int64_t near = begin + 4 * lane_id(), far = near + kWarpParams / 2;
    Four a, b;
    if (near < P) a.load(params + near, m + near, v + near, grads + near);
    if (far < P) b.load(params + far, m + far, v + far, grads + far);
    a.step(near, n_decay, f);
    b.step(far, n_decay, f);
    if (near < P) a.store(params + near, m + near, v + near);
    if (far < P) b.store(params + far, m + far, v + far);
    if constexpr (kWorking) {
      const auto eight = rounded(a.params, b.params);
      const std::int64_t at = lane_id() % 2 == 1 ? far - 4 : near;
      if (at < P) store128(reinterpret_cast<std::uint32_t*>(working + at), eight);
    }
  }
}

// Thread: every so manyth parameter; for lengths and addresses that the other cannot take.
__global__ void __launch_bounds__(kThreads)
    adamw_scalar_kernel(float* params, float* m, float* v, bf16* working, const float* grads, std::int64_t P,
                        std::int64_t n_decay, AdamWOptions options, const StepState* state) {
  if (state->clip_scale == 0) return;
  const AdamWFactors f = block_factors(*state, options);
  const std::int64_t threads = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < P;
       i += threads) {
    update(params[i], m[i], v[i], grads[i], i < n_decay ? f.keep : 1.f, f);
    if (working) working[i] = from_float<bf16>(params[i]);
  }
}

// ---- the state alone --------------------------------------------------------------------------------------

// One thread.
__global__ void begin_step_kernel(StepState* state, const float* rates, std::int64_t R) {
  state->learning_rate = rates[state->step % R];
}

// One thread.
__global__ void advance_step_kernel(StepState* state, StepState* history, std::int64_t history_size) {
  StepState next = *state;
  ++next.step;
  if (next.clip_scale == 0) {
    ++next.skipped;
    ++next.skipped_in_a_row;
  } else {
    ++next.updates;
    next.skipped_in_a_row = 0;
  }
  *state = next;
  if (history) history[(next.step - 1) % history_size] = next;
}

// Blocks that take `each` of n, but not more than `most`: then they go round.
std::int64_t blocks_for(std::int64_t n, std::int64_t each, std::int64_t most) {
  return std::clamp<std::int64_t>((n + each - 1) / each, 1, most);
}
double bytes_of(std::int64_t n, std::int64_t each) {
  return static_cast<double>(n) * static_cast<double>(each);
}
// How many blocks of adamw_kernel are at work at once. Results do not depend on it.
std::int64_t adamw_wave(const Stream& stream) {
  int multiprocessors = 132;  // an H100's, where there is no device
  if (!stream.dry()) {
    int device = 0;
    check(cudaGetDevice(&device), "cudaGetDevice");
    check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device),
          "cudaDeviceGetAttribute");
  }
  return multiprocessors * kAdamWBlocks;
}

}  // namespace

template <class T>
void execute(Context& context, const BeginStep& op) {
  ZHGPT_LAUNCH(context.stream, (Cost{.bytes = 4}), (LaunchShape{1, 1}), begin_step_kernel, op.state,
               op.rates.as<float>(), op.rates.numel());
}

template <class T>
void execute(Context& context, const AccumulateLoss& op) {
  const float* losses = op.losses.as<float>();
  const std::int64_t N = op.losses.numel();
  const Cost cost{.flops = bytes_of(N, 1), .bytes = bytes_of(N, 4)};
  const LaunchShape shape{1, kSumThreads};
  if (aligned(losses)) {
    ZHGPT_LAUNCH(context.stream, cost, shape, accumulate_loss_kernel<true>, op.state, losses, N, op.scale,
                 op.first);
  } else {
    ZHGPT_LAUNCH(context.stream, cost, shape, accumulate_loss_kernel<false>, op.state, losses, N, op.scale,
                 op.first);
  }
}

template <class T>
void execute(Context& context, const GlobalNorm& op) {
  const float* grads = op.grads.as<float>();
  const std::int64_t P = op.grads.numel();
  const std::int64_t blocks = blocks_for(P, kThreads * 16, kMostBlocks);
  auto* partial =
      static_cast<double*>(context.scratch.get(static_cast<std::size_t>(blocks) * sizeof(double)));
  const Cost cost{.flops = bytes_of(P, 2), .bytes = bytes_of(P, 4)};
  const LaunchShape shape{static_cast<unsigned>(blocks), kThreads};
  if (aligned(grads)) {
    ZHGPT_LAUNCH(context.stream, cost, shape, squares_kernel<true>, partial, grads, P);
  } else {
    ZHGPT_LAUNCH(context.stream, cost, shape, squares_kernel<false>, partial, grads, P);
  }
  const auto threads = static_cast<unsigned>((blocks + kWarpSize - 1) / kWarpSize * kWarpSize);
  ZHGPT_LAUNCH(context.stream, (Cost{.flops = bytes_of(blocks, 1), .bytes = bytes_of(blocks, 8)}),
               (LaunchShape{1, threads}), finish_norm_kernel, op.state, partial, blocks, op.max_norm);
}

template <class T>
void execute(Context& context, const AdamW& op) {
  float *params = op.params.as<float>(), *m = op.m.as<float>(), *v = op.v.as<float>();
  const float* grads = op.grads.as<float>();
  bf16* working = op.working ? op.working.as<bf16>() : nullptr;
  const std::int64_t P = op.params.numel();
  const AdamWOptions options{op.beta1, op.beta2, op.eps, op.weight_decay};
  const Cost cost{.flops = bytes_of(P, 14), .bytes = bytes_of(P, working ? 30 : 28)};
  const bool vectors =
      P % 8 == 0 && aligned(params) && aligned(m) && aligned(v) && aligned(grads) && aligned(working);
  const std::int64_t blocks = blocks_for(P, kThreads * (vectors ? 8 : 1), adamw_wave(context.stream));
  const LaunchShape shape{static_cast<unsigned>(blocks), kThreads};
  if (!vectors) {
    ZHGPT_LAUNCH(context.stream, cost, shape, adamw_scalar_kernel, params, m, v, working, grads, P,
                 op.n_decay, options, op.state);
  } else if (working) {
    ZHGPT_LAUNCH(context.stream, cost, shape, adamw_kernel<true>, params, m, v, working, grads, P, op.n_decay,
                 options, op.state);
  } else {
    ZHGPT_LAUNCH(context.stream, cost, shape, adamw_kernel<false>, params, m, v, working, grads, P,
                 op.n_decay, options, op.state);
  }
}

template <class T>
void execute(Context& context, const AdvanceStep& op) {
  ZHGPT_LAUNCH(context.stream, (Cost{.bytes = 2. * sizeof(StepState)}), (LaunchShape{1, 1}),
               advance_step_kernel, op.state, op.history, op.history_size);
}

ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(BeginStep)
ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(AccumulateLoss)
ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(GlobalNorm)
ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(AdamW)
ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(AdvanceStep)

}  // namespace zhgpt::cuda
