// HeadLoss: logits, softmax cross-entropy and its whole backward, rows in chunks.
//
//   logits (R, V) = inp (R, C) . weight (V, C)^T, of R rows at a time, in scratch memory and in T
//   losses (R) = log sum_v exp(logits) - logits[target]; 0 for a target < 0
//   logits become their gradient in place: scale * (softmax - one-hot); 0 for a target < 0
//   dinp (R, C) = dlogits . weight;  dweight (V, C) += dlogits^T . inp
//
// The kernel reads a row of logits from memory once, with the sum of exponentials relative to the largest so
// far (M. Milakov, N. Gimelshein, "Online normalizer calculation for softmax", 2018), keeps it in shared
// memory when it fits, and writes the gradient over it. Rows begin at multiples of 16 bytes whatever V is;
// what lies between V and the next row is neither read nor written. Chunks follow each other in order and are
// cut by shapes alone, so every sum has one order.
#include <algorithm>
#include <cfloat>

#include "cuda/launch.cuh"
#include "cuda/ops.h"

namespace zhgpt::cuda {
namespace {

// A chunk's logits are written once and read three times: in half of an H100's second-level cache (50 MB)
// much of that need not reach memory. But each chunk also reads and writes dweight, 8 V C bytes beside
// 8 V a row of logits in bf16, so that fewer than kRowsPerChannel * C rows would cost more than they save.
constexpr std::int64_t kChunkBytes = std::int64_t{32} << 20;
constexpr std::int64_t kRowsPerChannel = 4;
constexpr std::int64_t kRowStep = 128;  // whole tiles in the products

// A row that takes no more stays in shared memory: what a block may have on every device since sm_80, 99 KiB,
// less static arrays. A vocabulary of 50,304 in bf16 just fits.
constexpr std::size_t kKeptBytes = (99 << 10) - 512;
constexpr int kPacksAThread = 4;  // reads of a thread in flight

std::int64_t round_up(std::int64_t n, std::int64_t step) {
  return (n + step - 1) / step * step;
}
std::int64_t rows_of_a_chunk(std::int64_t N, std::int64_t C, std::int64_t row_bytes) {
  const std::int64_t most = std::max(kChunkBytes / row_bytes, kRowsPerChannel * C);
  const std::int64_t chunks = (N + most - 1) / most;
  return std::min(N, round_up((N + chunks - 1) / chunks, kRowStep));  // all but the last of one size
}

// Largest number so far, and the sum of exponentials relative to it; a NaN makes the sum one.
struct OnlineSum {
  float most = -FLT_MAX, sum = 0;  // finite, so that differences are never inf - inf

  // REQUIRES: no x added afterwards is larger than the largest so far.
  __device__ __forceinline__ void raise(float largest) {
    if (largest > most) {
      sum *= __expf(most - largest);
      most = largest;
    }
  }
  __device__ __forceinline__ void add(float x) { sum += __expf(x - most); }
};

// What happens to a row: it is only read for its loss, or becomes its gradient, being read a second time from
// memory or from shared memory.
enum class Row { measured, reread, kept };

// Block: one row of logits (R, stride), V columns of it. A thread keeps in shared memory what it will need
// again itself, so that no barrier is due for it. `ranks`, which may be absent, are asked of Row::measured
// alone: there each thread also counts the logits that come before the target's, being larger, or as large
// and earlier.
template <class T, Row kRow>
__global__ void __launch_bounds__(1024)
    softmax_loss_kernel(float* losses, std::int32_t* ranks, T* logits, const std::int32_t* targets,
                        std::int64_t V, std::int64_t stride, float scale) {
  constexpr int kSize = Pack128<T>::kSize;
  const std::int64_t row = blockIdx.x;
  T* x = logits + row * stride;
  const std::int32_t target = targets[row];
  const bool counts = target >= 0;
  const float at_target = counts ? to_float(x[target]) : 0.f;  // before anyone overwrites it
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x),
            packs = static_cast<int>(V / kSize);
  // The last V % kSize columns: one for each of the first threads.
  const int rest = packs * kSize + thread;
  const bool has_rest = thread < kSize && rest < V;

  SharedArena arena;
  T* kept = kRow == Row::kept ? arena.take<T>(static_cast<std::size_t>(packs) * kSize) : nullptr;

  OnlineSum own;
  float at_rest = 0;
  int ahead = 0;  // logits of this thread that come before the target's
  const auto look = [&](float logit, int column) {
    if constexpr (kRow == Row::measured) {
      ahead += column < target ? logit >= at_target : logit > at_target;
    }
  };
  if (counts) {
#pragma unroll kPacksAThread
    for (int p = thread; p < packs; p += threads) {
      const auto pack = load128(x + p * kSize);
      if constexpr (kRow == Row::kept) store128(kept + p * kSize, pack);
      float largest = to_float(pack[0]);
#pragma unroll
      for (int i = 1; i < kSize; ++i) largest = fmaxf(largest, to_float(pack[i]));
      own.raise(largest);
#pragma unroll
      for (int i = 0; i < kSize; ++i) {
        own.add(to_float(pack[i]));
        look(to_float(pack[i]), p * kSize + i);
      }
    }
    if (has_rest) {
      at_rest = to_float(x[rest]);
      own.raise(at_rest);
      own.add(at_rest);
      look(at_rest, rest);
    }
  }
  const float most = block_max(own.most);
  const float sum = block_sum(own.sum * __expf(own.most - most));
  const float loss = counts ? most + logf(sum) - at_target : 0.f;
  if (thread == 0) losses[row] = loss;

  if constexpr (kRow == Row::measured) {
    if (!ranks) return;
    ahead = block_sum(ahead);
    if (thread == 0) ranks[row] = static_cast<std::int32_t>(counts && isfinite(loss) ? ahead : V);
  } else {
    const float factor = counts ? scale / sum : 0.f;
    const auto gradient = [&](float logit, int column) {
      if (!counts) return from_float<T>(0.f);
      return from_float<T>(fmaf(factor, __expf(logit - most), column == target ? -scale : 0.f));
    };
#pragma unroll kPacksAThread
    for (int p = thread; p < packs; p += threads) {
      Pack128<T> pack{};
      if (counts) pack = kRow == Row::kept ? load128(kept + p * kSize) : load128(x + p * kSize);
#pragma unroll
      for (int i = 0; i < kSize; ++i) pack[i] = gradient(to_float(pack[i]), p * kSize + i);
      store128(x + p * kSize, pack);
    }
    if (has_rest) x[rest] = gradient(at_rest, rest);
  }
}

template <class T>
void softmax_loss(Stream& stream, float* losses, std::int32_t* ranks, T* logits, const std::int32_t* targets,
                  std::int64_t rows, std::int64_t V, std::int64_t stride, double scale, bool gradient) {
  const std::int64_t packs = V / Pack128<T>::kSize;
  const auto threads = static_cast<unsigned>(
      std::clamp<std::int64_t>(round_up(packs / kPacksAThread, kWarpSize), kWarpSize, 1024));
  const std::size_t kept = shared_bytes<Pack128<T>>(static_cast<std::size_t>(packs));
  const double read = static_cast<double>(rows) * static_cast<double>(V);
  const Cost cost{.flops = (gradient ? 8 : 4) * read, .bytes = (gradient ? 2 : 1) * read * sizeof(T)};
  LaunchShape shape{static_cast<unsigned>(rows), threads};
  if (!gradient) {
    ZHGPT_LAUNCH(stream, cost, shape, (softmax_loss_kernel<T, Row::measured>), losses, ranks, logits, targets,
                 V, stride, static_cast<float>(scale));
  } else if (kept > kKeptBytes) {
    ZHGPT_LAUNCH(stream, cost, shape, (softmax_loss_kernel<T, Row::reread>), losses, ranks, logits, targets,
                 V, stride, static_cast<float>(scale));
  } else {
    shape.shared_bytes = kept;
    ZHGPT_LAUNCH(stream, cost, shape, (softmax_loss_kernel<T, Row::kept>), losses, ranks, logits, targets, V,
                 stride, static_cast<float>(scale));
  }
}

}  // namespace

template <class T>
void execute(Context& context, const HeadLoss& op) {
  const std::int64_t N = op.inp.dim(0), C = op.inp.dim(1), V = op.weight.dim(0);
  const std::int64_t stride = round_up(V, Pack128<T>::kSize),
                     row_bytes = stride * static_cast<std::int64_t>(sizeof(T));
  const std::int64_t chunk = rows_of_a_chunk(N, C, row_bytes);
  auto* logits = static_cast<T*>(context.scratch.get(static_cast<std::size_t>(chunk * row_bytes)));
  constexpr DType kDType = DTypeOf<T>::value;
  for (std::int64_t begin = 0; begin < N; begin += chunk) {
    const std::int64_t rows = std::min(chunk, N - begin);
    const Product::Operand inp{op.inp.as<T>() + begin * C, C}, weight{op.weight.data, C};
    context.matmul.run(context.stream, Product{.m = rows,
                                               .n = V,
                                               .k = C,
                                               .a = inp,
                                               .b = {weight.data, C, true},
                                               .dtype = kDType,
                                               .out = logits,
                                               .out_dtype = kDType,
                                               .out_stride = stride});
    softmax_loss(context.stream, op.losses.as<float>() + begin,
                 op.ranks ? op.ranks.as<std::int32_t>() + begin : nullptr, logits,
                 op.targets.as<std::int32_t>() + begin, rows, V, stride, op.scale,
                 static_cast<bool>(op.dinp));
    if (!op.dinp) continue;
    context.matmul.run(context.stream, Product{.m = rows,
                                               .n = C,
                                               .k = V,
                                               .a = {logits, stride},
                                               .b = weight,
                                               .dtype = kDType,
                                               .out = op.dinp.as<T>() + begin * C,
                                               .out_dtype = kDType});
    context.matmul.run(context.stream, Product{.m = V,
                                               .n = C,
                                               .k = rows,
                                               .a = {logits, stride, true},
                                               .b = inp,
                                               .dtype = kDType,
                                               .out = op.dweight.data,
                                               .out_dtype = DType::f32,
                                               .add = true});
  }
}

ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(HeadLoss)

}  // namespace zhgpt::cuda
