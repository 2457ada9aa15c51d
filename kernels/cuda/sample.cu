// SampleTokens: the next token of each row as choose_token (zhgpt/sampling.h) chooses it, without sorting.
//
// Candidates are ordered by a key of 55 bits, the logit above the id, so that keys differ and a larger one is
// likelier. Every filter then asks the same question: going down from the likeliest and adding up weights, at
// which key is a target reached? For top-k the weights are ones, for top-p the probabilities, for the draw
// the probabilities at the temperature, and its answer is the token. The answer comes by radix descent: the
// sums of weights over 2,048 values of the key's highest 11 bits, from them the value at which the target is
// reached, then the next 11 bits of the keys that have it.
//
// Weights are whole numbers, probabilities in units of 2^-40 of the largest one, so that sums by atomics have
// the same bits in every order. The choice is that of choose_token up to rounding: exp is float's here.
#include "cuda/launch.cuh"
#include "cuda/ops.h"
#include "zhgpt/error.h"
#include "zhgpt/rng.h"
#include "zhgpt/tokenizer.h"

namespace zhgpt::cuda {
namespace {

using Key = unsigned long long;  // CUDA's atomics and shuffles know this 64-bit integer
using Mass = unsigned long long;

constexpr int kThreads = 1024;
constexpr int kIdBits = 23, kDigitBits = 11, kKeyBits = 32 + kIdBits;
constexpr unsigned kLargestId = (1u << kIdBits) - 1;
constexpr int kDigits = 1 << kDigitBits;
static_assert(kDigits == 2 * kThreads);  // a thread reads two sums
static_assert(kKeyBits % kDigitBits == 0);
constexpr int kRecent = 64;                   // as in choose_token
constexpr int kListed = 1024;                 // top-k candidates that are kept as a list
constexpr float kOne = 0x1p40f;               // the weight of the likeliest
constexpr std::size_t kKeptBytes = 64 << 10;  // a row of orders that takes no more lies in shared memory

// ---- keys -------------------------------------------------------------------------------------------------

// A logit as an unsigned number of the same order; never 0, which stands for what cannot be chosen. NaN, of
// which choose_token promises nothing, comes last.
__device__ __forceinline__ unsigned order_of(float logit) {
  if (isnan(logit)) return 1;
  const unsigned bits = __float_as_uint(logit + 0.f);  // -0 becomes 0, to which it is equal
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}
__device__ __forceinline__ float logit_of(unsigned order) {
  if (order == 1) return -INFINITY;
  return __uint_as_float(order >> 31 ? order & 0x7fffffffu : ~order);
}
__device__ __forceinline__ Key key_of(unsigned order, unsigned id) {
  return order == 0 ? 0 : static_cast<Key>(order) << kIdBits | (kLargestId - id);
}
__device__ __forceinline__ float logit_of(Key key) {
  return logit_of(static_cast<unsigned>(key >> kIdBits));
}
__device__ __forceinline__ std::int32_t id_of(Key key) {
  return static_cast<std::int32_t>(kLargestId - (static_cast<unsigned>(key) & kLargestId));
}

struct Larger {
  template <class T>
  __device__ __forceinline__ static T identity() {
    return 0;
  }
  __device__ __forceinline__ Key operator()(Key a, Key b) const { return a > b ? a : b; }
};

// What can still be chosen: of all of a row, or of the listed ids, those whose key is at least `least`.
struct Candidates {
  const unsigned* orders;  // (V), 0: cannot be chosen
  const unsigned* ids;     // (count), or nullptr: candidate i is token i
  int count;
  Key least;

  __device__ __forceinline__ Key operator[](int i) const {
    const unsigned id = ids ? ids[i] : static_cast<unsigned>(i);
    const Key key = key_of(orders[id], id);
    return key >= least ? key : 0;
  }
};

// ---- weights ----------------------------------------------------------------------------------------------

struct EachCounts {
  __device__ __forceinline__ unsigned operator()(Key) const { return 1; }
};
// exp((logit - top) * sharpness) in units of 1 / kOne; 0 for what is less than min_p times as likely as the
// top at temperature 1.
struct Likelihood {
  float top, sharpness, min_p;

  __device__ __forceinline__ Mass operator()(Key key) const {
    const float below = logit_of(key) - top;
    if (!(below < 0)) return static_cast<Mass>(kOne);  // the top itself, infinite or not
    if (expf(below) < min_p) return 0;
    return static_cast<Mass>(expf(below * sharpness) * kOne);
  }
};

// ---- the descent ------------------------------------------------------------------------------------------

// The sum of the values of this thread and all before it. Every thread calls it.
template <class Sum>
__device__ __forceinline__ Sum block_scan(Sum value) {
  ZHGPT_SHARED(Sum, of_warp, [kWarpSize]);
#pragma unroll
  for (unsigned distance = 1; distance < kWarpSize; distance *= 2) {
    const Sum before = __shfl_up_sync(kFullWarp, value, distance);
    if (lane_id() >= static_cast<int>(distance)) value += before;
  }
  if (lane_id() == kWarpSize - 1) of_warp[warp_id()] = value;
  __syncthreads();  // all warps' sums are there
  const Sum earlier = lane_id() < warp_id() ? of_warp[lane_id()] : 0;
  __syncthreads();  // all are read: the next call may overwrite them
  return value + warp_sum(earlier);
}

// The largest key with which the weights of the candidates, taken from the largest key down, reach `target`.
// Every thread calls it and gets the key. REQUIRES: 0 < target <= the sum of all weights.
template <class Weight, class Sum>
__device__ __forceinline__ Key reach(Sum target, const Candidates& candidates, Weight weight) {
  ZHGPT_SHARED(Sum, sums, [kDigits]);
  ZHGPT_SHARED(unsigned, digit, [1]);
  ZHGPT_SHARED(Sum, left, [1]);  // of the target, within the digit
  const int thread = static_cast<int>(threadIdx.x);
  const int high = kDigits - 1 - 2 * thread;  // this thread reads and clears two sums, from the top down
  sums[high] = sums[high - 1] = 0;
  Key prefix = 0;
#pragma unroll 1
  for (int shift = kKeyBits - kDigitBits; shift >= 0; shift -= kDigitBits) {
    __syncthreads();  // the sums are clear; digit and left have been read
    for (int i = thread; i < candidates.count; i += kThreads) {
      const Key key = candidates[i];
      if (key == 0 || key >> shift >> kDigitBits != prefix) continue;
      const Sum mass = weight(key);
      if (mass > 0) atomicAdd(&sums[(key >> shift) & (kDigits - 1)], mass);
    }
    __syncthreads();  // the sums are complete
    const Sum first = sums[high], second = sums[high - 1];
    sums[high] = sums[high - 1] = 0;
    const Sum upto = block_scan(first + second), before = upto - first - second;
    if (before < target && target <= upto) {
      const bool in_first = target <= before + first;
      digit[0] = static_cast<unsigned>(in_first ? high : high - 1);
      left[0] = target - before - (in_first ? 0 : first);
    }
    __syncthreads();  // one thread has found the digit
    prefix = prefix << kDigitBits | digit[0];
    target = left[0];
  }
  __syncthreads();  // the last digit has been read: the next call may overwrite it
  return prefix;
}

template <class Weight>
__device__ __forceinline__ Mass total_of(const Candidates& candidates, Weight weight) {
  Mass mine = 0;
  for (int i = static_cast<int>(threadIdx.x); i < candidates.count; i += kThreads) {
    if (const Key key = candidates[i]) mine += weight(key);
  }
  return block_sum(mine);
}

// ---- the kernel -------------------------------------------------------------------------------------------

struct Options {
  double repeat_penalty, top_p;
  float sharpness, min_p;
  unsigned top_k;  // 0: all
  bool greedy;
  std::uint64_t seed;
};

// The last kRecent tokens of a row that are tokens, in any order; returns how many. Warp 0 alone calls it.
__device__ __forceinline__ int last_tokens(std::int32_t* window, const std::int32_t* recent, std::int64_t R) {
  int count = 0;
  for (std::int64_t end = R; end > 0 && count < kRecent; end -= kWarpSize) {
    const std::int64_t at = end - 1 - lane_id();
    const std::int32_t id = at >= 0 ? recent[at] : -1;
    const unsigned there = __ballot_sync(kFullWarp, id >= 0);
    const int place = count + __popc(there & ((1u << lane_id()) - 1));
    if (id >= 0 && place < kRecent) window[place] = id;
    count += __popc(there);
  }
  return count < kRecent ? count : kRecent;
}

// Makes the recent tokens less likely. Every thread calls it.
__device__ __forceinline__ void penalise(unsigned* orders, const float* logits, const std::int32_t* recent,
                                         std::int64_t R, int V, double penalty) {
  ZHGPT_SHARED(std::int32_t, window, [kRecent]);
  ZHGPT_SHARED(int, count, [1]);
  if (warp_id() == 0) {
    const int tokens = last_tokens(window, recent, R);
    if (lane_id() == 0) count[0] = tokens;
  }
  __syncthreads();  // the window is there
  const int mine = static_cast<int>(threadIdx.x);
  if (mine < count[0]) {
    const std::int32_t id = window[mine];
    bool counts = id < V && id != kUnknownId && id != kEndOfTextId;     // ending is never penalised
    for (int i = 0; i < mine; ++i) counts = counts && window[i] != id;  // one thread a token
    if (counts) {
      const double logit = static_cast<double>(logits[id]);
      orders[id] = order_of(static_cast<float>(logit > 0 ? logit / penalty : logit * penalty));
    }
  }
  __syncthreads();  // the orders are what they are to be
}

// Keeps the ids of the `count` candidates that there are, in any order, and makes them all. Every thread
// calls it.
__device__ __forceinline__ void list(Candidates& candidates, unsigned* ids, int count) {
  ZHGPT_SHARED(unsigned, listed, [1]);
  if (threadIdx.x == 0) listed[0] = 0;
  __syncthreads();  // counting begins
  for (int i = static_cast<int>(threadIdx.x); i < candidates.count; i += kThreads) {
    if (candidates[i]) ids[atomicAdd(listed, 1)] = static_cast<unsigned>(i);
  }
  __syncthreads();  // the list is complete
  candidates.ids = ids;
  candidates.count = count;
}

// Block: one row of logits (B, V). kKept: the row's orders are in shared memory, else in `spare` (B, V).
template <bool kKept>
__global__ void __launch_bounds__(kThreads)
    sample_kernel(std::int32_t* tokens, const float* logits, const std::int32_t* recent,
                  const std::int32_t* positions, unsigned* spare, int V, std::int64_t R,
                  std::uint64_t first_sample, Options options) {
  ZHGPT_SHARED(unsigned, ids, [kListed]);
  const std::int64_t row = blockIdx.x;
  logits += row * V;
  SharedArena arena;
  unsigned* orders = kKept ? arena.take<unsigned>(static_cast<std::size_t>(V)) : spare + row * V;

  for (int i = static_cast<int>(threadIdx.x); i < V; i += kThreads) {
    orders[i] = i == kUnknownId ? 0 : order_of(logits[i]);
  }
  __syncthreads();  // all orders are there
  if (recent && options.repeat_penalty != 1)
    penalise(orders, logits, recent + row * R, R, V, options.repeat_penalty);

  Candidates candidates{orders, nullptr, V, 1};
  Key best = 0;
  for (int i = static_cast<int>(threadIdx.x); i < V; i += kThreads) best = Larger{}(best, candidates[i]);
  best = block_reduce(best, Larger{});
  if (options.greedy) {
    if (threadIdx.x == 0) tokens[row] = id_of(best);
    return;
  }

  if (options.top_k > 0 && options.top_k < static_cast<unsigned>(V - 1)) {  // <unk> is none
    candidates.least = reach(options.top_k, candidates, EachCounts{});
    if (options.top_k <= kListed) list(candidates, ids, static_cast<int>(options.top_k));
  }
  if (options.top_p < 1) {
    const Likelihood likelihood{logit_of(best), 1, 0};
    const Mass target =
        static_cast<Mass>(ceil(options.top_p * static_cast<double>(total_of(candidates, likelihood))));
    candidates.least = reach(target > 0 ? target : Mass{1}, candidates, likelihood);
  }
  const Likelihood likelihood{logit_of(best), options.sharpness, options.min_p};
  const Mass total = total_of(candidates, likelihood);
  const std::uint64_t sample = first_sample + static_cast<std::uint64_t>(row);
  const PhiloxBlock bits =
      random_block(options.seed, RandomStream::sampling, static_cast<std::uint64_t>(positions[row]),
                   static_cast<std::uint32_t>(sample), sample >> 24);
  const double u = static_cast<double>((std::uint64_t{bits[0]} << 32 | bits[1]) >> 11) * 0x1p-53;
  const Mass passed = static_cast<Mass>(u * static_cast<double>(total));
  const Key chosen = reach(passed < total ? passed + 1 : total, candidates, likelihood);
  if (threadIdx.x == 0) tokens[row] = id_of(chosen);
}

}  // namespace

template <class T>
void execute(Context& context, const SampleTokens& op) {
  const std::int64_t B = op.logits.dim(0), V = op.logits.dim(1), R = op.recent ? op.recent.dim(1) : 0;
  if (V > kLargestId)
    throw ConfigError("SampleTokens: logits: got " + op.logits.shape_text() + ", expected V < 2^23");
  const SamplingOptions& o = op.options;
  const Options options{.repeat_penalty = o.repeat_penalty,
                        .top_p = o.top_p,
                        .sharpness = static_cast<float>(1 / o.temperature),
                        .min_p = static_cast<float>(o.min_p),
                        .top_k = static_cast<unsigned>(o.top_k),
                        .greedy = o.temperature == 0,
                        .seed = o.seed};
  const std::int32_t* recent = op.recent ? op.recent.as<std::int32_t>() : nullptr;
  const std::size_t row_bytes = shared_bytes<unsigned>(static_cast<std::size_t>(V));
  const Cost cost{.bytes = static_cast<double>(op.logits.bytes())};
  LaunchShape shape{static_cast<unsigned>(B), kThreads};
  if (row_bytes <= kKeptBytes) {
    shape.shared_bytes = row_bytes;
    ZHGPT_LAUNCH(context.stream, cost, shape, sample_kernel<true>, op.tokens.as<std::int32_t>(),
                 op.logits.as<float>(), recent, op.positions.as<std::int32_t>(), nullptr, V, R,
                 op.first_sample, options);
  } else {
    auto* spare =
        static_cast<unsigned*>(context.scratch.get(static_cast<std::size_t>(B * V) * sizeof(unsigned)));
    ZHGPT_LAUNCH(context.stream, cost, shape, sample_kernel<false>, op.tokens.as<std::int32_t>(),
                 op.logits.as<float>(), recent, op.positions.as<std::int32_t>(), spare, V, R, op.first_sample,
                 options);
  }
}

ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(SampleTokens)

}  // namespace zhgpt::cuda
