// SampleTokens: the next token of each row as choose_token (zhgpt/sampling.h) chooses it, without sorting.
//
// Candidates are ordered by a key of 55 bits, the logit above the id, so that keys differ and a larger one is
// likelier. Every filter then asks the same question: going down from the likeliest and adding up weights, at
// which key is a target reached? For top-k the weights are ones, for top-p the probabilities, for the draw
// the probabilities at the temperature, and its answer is the token. The answer comes by radix descent: the
// sums of weights over 2,048 values of the key's highest 11 bits, from them the value at which the target is
// reached, then the next 11 bits of the keys that have it. For typical the keys have nearness to the mean
// logit in the place of the logit.
//
// Weights are whole numbers, probabilities in units of 2^-40 of the largest one, so that sums by atomics have
// the same bits in every order. The choice is that of choose_token up to rounding: exp is float's here.
#include "cuda/launch.cuh"
#include "cuda/ops.h"
#include "zhgpt/error.h"
#include "zhgpt/rng.h"
#include "zhgpt/sampling.h"
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
static_assert(kSampleHistory == kThreads);    // a thread looks after one token that came before
constexpr int kListed = 1024;                 // top-k candidates that are kept as a list
constexpr float kOne = 0x1p40f;               // the weight of the likeliest
constexpr std::size_t kKeptBytes = 64 << 10;  // a row of orders that takes no more lies in shared memory

// ---- keys -------------------------------------------------------------------------------------------------

// A logit as an unsigned number of the same order; 0 for what cannot be chosen, -inf and NaN.
__device__ __forceinline__ unsigned order_of(float logit) {
  if (!(logit > -INFINITY)) return 0;
  const unsigned bits = __float_as_uint(logit + 0.f);  // -0 becomes 0, to which it is equal
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}
__device__ __forceinline__ float logit_of(unsigned order) {
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

// How far a logit lies below the top one, which may be infinite.
__device__ __forceinline__ float below(float logit, float top) {
  const float difference = logit - top;
  return difference < 0 ? -difference : 0;
}

// The same candidates with keys that are larger the nearer the logit lies to the mean one, `mean` below the
// top.
struct ByNearness {
  Candidates candidates;
  int count;
  float top, mean;

  __device__ __forceinline__ Key operator[](int i) const {
    const Key key = candidates[i];
    if (key == 0) return 0;
    const float distance = fabsf(below(logit_of(key), top) - mean);
    return key_of(~__float_as_uint(distance), static_cast<unsigned>(id_of(key)));
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

// The likelihood of the token of a key by nearness.
struct NearLikelihood {
  const unsigned* orders;
  Likelihood likelihood;

  __device__ __forceinline__ Mass operator()(Key key) const {
    return likelihood(key_of(orders[id_of(key)], static_cast<unsigned>(id_of(key))));
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

// (kDigits), the same memory for every descent with such sums.
template <class Sum>
__device__ __forceinline__ Sum* digit_sums() {
  ZHGPT_SHARED(Sum, sums, [kDigits]);
  return sums;
}

// The largest key with which the weights of the candidates, taken from the largest key down, reach `target`.
// Every thread calls it and gets the key. REQUIRES: 0 < target <= the sum of all weights.
template <class Keys, class Weight, class Sum>
__device__ __forceinline__ Key reach(Sum target, const Keys& candidates, Weight weight) {
  Sum* const sums = digit_sums<Sum>();
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
  double repeat_penalty, presence_penalty, frequency_penalty, typical_p, top_p;
  float sharpness, min_p;
  unsigned top_k;  // 0: all
  int repeat_last_n, no_repeat_ngram;
  bool greedy;
  std::uint64_t seed;
};

// The last kSampleHistory ids among the `position` tokens before, of which recent (R) has the last R, newest
// first; returns how many. Every thread calls it.
__device__ __forceinline__ int take_history(std::int32_t* history, const std::int32_t* recent, std::int64_t R,
                                            std::int64_t position, int V) {
  ZHGPT_SHARED(int, taken, [1]);
  if (warp_id() == 0) {
    int count = 0;
    const std::int64_t oldest = position > R ? position - R : 0;
    for (std::int64_t end = position; end > oldest && count < kSampleHistory; end -= kWarpSize) {
      const std::int64_t at = end - 1 - lane_id();
      const std::int32_t id = at >= oldest ? recent[at % R] : -1;
      const bool is_id = id >= 0 && id < V;
      const unsigned there = __ballot_sync(kFullWarp, is_id);
      const int place = count + __popc(there & ((1u << lane_id()) - 1));
      if (is_id && place < kSampleHistory) history[place] = id;
      count += __popc(there);
    }
    if (lane_id() == 0) taken[0] = count < kSampleHistory ? count : static_cast<int>(kSampleHistory);
  }
  __syncthreads();  // the history is there
  return taken[0];
}

// Makes tokens of the history less likely. Every thread calls it.
__device__ __forceinline__ void penalise(unsigned* orders, const float* logits, const std::int32_t* history,
                                         int count, const Options& o) {
  if (o.repeat_last_n >= 0 && o.repeat_last_n < count) count = o.repeat_last_n;
  const int mine = static_cast<int>(threadIdx.x);
  if (mine < count) {
    const std::int32_t id = history[mine];
    int before = 0, times = 0;  // it came
    for (int i = 0; i < count; ++i) {
      times += history[i] == id;
      before += i < mine && history[i] == id;
    }
    if (before == 0 && id != kUnknownId && id != kEndOfTextId) {  // one thread a token
      const double logit = static_cast<double>(logits[id]);
      const double repeated = logit > 0 ? logit / o.repeat_penalty : logit * o.repeat_penalty;
      const double seen = o.presence_penalty + times * o.frequency_penalty;
      orders[id] = order_of(static_cast<float>(repeated - seen));
    }
  }
  __syncthreads();  // the orders are what they are to be
}

// Bans what would make the last n tokens, itself included, a run that was there before. The thread that bans
// history[threadIdx.x] gets the order that this token had, others 0. Every thread calls it.
__device__ __forceinline__ unsigned ban_repeated_ngram(unsigned* orders, const std::int32_t* history,
                                                       int count, int n) {
  const int mine = static_cast<int>(threadIdx.x);
  unsigned banned = 0;
  if (n > 0 && mine + n <= count) {
    const std::int32_t id = history[mine];
    bool repeats = id != kEndOfTextId;
    for (int i = 0; i < n - 1 && repeats; ++i) repeats = history[mine + 1 + i] == history[i];
    if (repeats) banned = atomicExch(&orders[id], 0u);
  }
  __syncthreads();  // all bans are there
  return banned;
}

__device__ __forceinline__ Key largest_of(const Candidates& candidates) {
  Key best = 0;
  for (int i = static_cast<int>(threadIdx.x); i < candidates.count; i += kThreads) {
    best = Larger{}(best, candidates[i]);
  }
  return block_reduce(best, Larger{});
}

__device__ __forceinline__ unsigned number_of(const Candidates& candidates) {
  unsigned mine = 0;
  for (int i = static_cast<int>(threadIdx.x); i < candidates.count; i += kThreads) mine += candidates[i] != 0;
  return block_sum(mine);
}

// Bans all but the fewest that reach the probability, those first whose logit is nearest to the mean one;
// their surprise is then nearest to its mean, the entropy. Every thread calls it.
__device__ __forceinline__ void keep_typical(unsigned* orders, const Candidates& candidates, float top,
                                             double typical_p) {
  const Likelihood likelihood{top, 1, 0};
  Mass mine = 0, mine_below = 0;  // the latter's terms are at most 1 / e, in the same units
  for (int i = static_cast<int>(threadIdx.x); i < candidates.count; i += kThreads) {
    const Key key = candidates[i];
    const Mass mass = key ? likelihood(key) : 0;
    if (mass == 0) continue;  // what may lie infinitely below
    mine += mass;
    mine_below += static_cast<Mass>(static_cast<float>(mass) * below(logit_of(key), top));
  }
  const Mass total = block_sum(mine);
  const float mean = static_cast<float>(block_sum(mine_below)) / static_cast<float>(total);
  const ByNearness near{candidates, candidates.count, top, mean};
  const Mass target = static_cast<Mass>(ceil(typical_p * static_cast<double>(total)));
  const Key least = reach(target > 0 ? target : Mass{1}, near, NearLikelihood{orders, likelihood});
  for (int i = static_cast<int>(threadIdx.x); i < candidates.count; i += kThreads) {
    const Key key = near[i];
    if (key && key < least) orders[id_of(key)] = 0;
  }
  __syncthreads();  // the others are banned
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
__global__ void __launch_bounds__(kThreads, 1)
    sample_kernel(std::int32_t* tokens, const float* logits, const std::int32_t* recent,
                  const std::int32_t* positions, const std::int64_t* samples, unsigned* spare, int V,
                  std::int64_t R, Options options) {
  ZHGPT_SHARED(unsigned, ids, [kListed]);
  const std::int64_t row = blockIdx.x;
  logits += row * V;
  SharedArena arena;
  unsigned* orders = kKept ? arena.take<unsigned>(static_cast<std::size_t>(V)) : spare + row * V;

  for (int i = static_cast<int>(threadIdx.x); i < V; i += kThreads) {
    orders[i] = i == kUnknownId ? 0 : order_of(logits[i]);
  }
  __syncthreads();  // all orders are there
  ZHGPT_SHARED(std::int32_t, history, [kSampleHistory]);
  const bool penalises =
      options.repeat_penalty != 1 || options.presence_penalty != 0 || options.frequency_penalty != 0;
  const bool looks_back = recent && (penalises || options.no_repeat_ngram > 0);
  const int before = looks_back ? take_history(history, recent + row * R, R, positions[row], V) : 0;
  if (penalises) penalise(orders, logits, history, before, options);
  const unsigned banned = ban_repeated_ngram(orders, history, before, options.no_repeat_ngram);

  Candidates candidates{orders, nullptr, V, 1};
  Key best = largest_of(candidates);
  if (best == 0) {  // a text must go on: the bans are lifted
    if (banned) orders[history[threadIdx.x]] = banned;
    __syncthreads();  // all are lifted
    best = largest_of(candidates);
  }
  if (best == 0 || options.greedy) {
    if (threadIdx.x == 0) tokens[row] = best == 0 ? kNoToken : id_of(best);
    return;
  }

  if (options.top_k > 0 && options.top_k < number_of(candidates)) {
    candidates.least = reach(options.top_k, candidates, EachCounts{});
    if (options.top_k <= kListed) list(candidates, ids, static_cast<int>(options.top_k));
  }
  if (options.typical_p < 1) {
    keep_typical(orders, candidates, logit_of(best), options.typical_p);
    best = largest_of(candidates);
  }
  if (options.top_p < 1) {
    const Likelihood likelihood{logit_of(best), 1, 0};
    const Mass target =
        static_cast<Mass>(ceil(options.top_p * static_cast<double>(total_of(candidates, likelihood))));
    candidates.least = reach(target > 0 ? target : Mass{1}, candidates, likelihood);
  }
  const Likelihood likelihood{logit_of(best), options.sharpness, options.min_p};
  const Mass total = total_of(candidates, likelihood);
  const auto sample = static_cast<std::uint64_t>(samples[row]);
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
                        .presence_penalty = o.presence_penalty,
                        .frequency_penalty = o.frequency_penalty,
                        .typical_p = o.typical_p,
                        .top_p = o.top_p,
                        .sharpness = static_cast<float>(1 / o.temperature),
                        .min_p = static_cast<float>(o.min_p),
                        .top_k = static_cast<unsigned>(o.top_k),
                        .repeat_last_n = static_cast<int>(o.repeat_last_n),
                        .no_repeat_ngram = static_cast<int>(o.no_repeat_ngram),
                        .greedy = o.temperature == 0,
                        .seed = o.seed};
  const std::int32_t* recent = op.recent ? op.recent.as<std::int32_t>() : nullptr;
  const auto* samples = static_cast<const std::int64_t*>(op.samples.data);
  const std::size_t row_bytes = shared_bytes<unsigned>(static_cast<std::size_t>(V));
  const Cost cost{.bytes = static_cast<double>(op.logits.bytes())};
  LaunchShape shape{static_cast<unsigned>(B), kThreads};
  if (row_bytes <= kKeptBytes) {
    shape.shared_bytes = row_bytes;
    ZHGPT_LAUNCH(context.stream, cost, shape, sample_kernel<true>, op.tokens.as<std::int32_t>(),
                 op.logits.as<float>(), recent, op.positions.as<std::int32_t>(), samples, nullptr, V, R,
                 options);
  } else {
    auto* spare =
        static_cast<unsigned*>(context.scratch.get(static_cast<std::size_t>(B * V) * sizeof(unsigned)));
    ZHGPT_LAUNCH(context.stream, cost, shape, sample_kernel<false>, op.tokens.as<std::int32_t>(),
                 op.logits.as<float>(), recent, op.positions.as<std::int32_t>(), samples, spare, V, R,
                 options);
  }
}

ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(SampleTokens)

}  // namespace zhgpt::cuda
