// What this processor reaches at its best on some threads.
//
// Arithmetic: chains of multiply-adds in registers, more of them than a chain's latency times the units that
// work beside each other, so that nothing waits. Memory: each thread sums its part of a block that is larger
// than the caches, so that all of it comes from memory.
#include "zhgpt/ceilings.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <vector>

#include "cpu/host_memory.h"
#include "cpu/thread_pool.h"
#include "zhgpt/backend.h"

namespace zhgpt {
namespace {

#if defined(__AVX512F__)
constexpr std::size_t kVectorBytes = 64;
#elif defined(__AVX__)
constexpr std::size_t kVectorBytes = 32;
#else
constexpr std::size_t kVectorBytes = 16;
#endif
typedef float Vector __attribute__((vector_size(kVectorBytes)));
constexpr std::int64_t kLanes = kVectorBytes / sizeof(float);

constexpr int kTries = 15;
constexpr std::int64_t kChains = 12, kRounds = 2'000'000;
constexpr std::int64_t kReadBytes = std::int64_t{256} << 20;

// The best rate of several tries, in which all threads work on `tile` at the same time.
template <class F>
double best_rate(ThreadPool& pool, double amount, const F& tile) {
  double best = 0;
  for (int i = 0; i < kTries; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    pool.for_each_tile(pool.threads(), tile);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    best = std::max(best, amount / time.count());
  }
  return best;
}

std::atomic<float> unused;  // a result that is kept somewhere is computed

void multiply_and_add() {
  Vector sums[kChains], factor, addend;
  for (std::int64_t lane = 0; lane < kLanes; ++lane) {
    factor[lane] = 0.5f;
    addend[lane] = 1.f + static_cast<float>(lane);
  }
  for (Vector& sum : sums) sum = addend;
  for (std::int64_t round = 0; round < kRounds; ++round) {
#pragma GCC unroll 12
    for (Vector& sum : sums)
      sum = sum * factor + addend;  // fused: this file is compiled with -ffp-contract=fast
  }
  Vector all = sums[0];
  for (const Vector& sum : sums) all += sum;
  unused = all[0];
}

void read(const std::byte* from, std::int64_t bytes) {
  constexpr std::int64_t kStep = 4 * kVectorBytes;
  Vector sums[4] = {};
  for (std::int64_t at = 0; at + kStep <= bytes; at += kStep) {
    for (std::int64_t i = 0; i < 4; ++i) {
      Vector loaded;
      std::memcpy(&loaded, from + at + i * static_cast<std::int64_t>(kVectorBytes), sizeof loaded);
      sums[i] += loaded;
    }
  }
  unused = (sums[0] + sums[1] + sums[2] + sums[3])[0];
}

}  // namespace

Ceilings measure_ceilings_of_cpu(int threads) {
  ThreadPool pool(threads);
  const double n = pool.threads();
  Ceilings ceilings;
  ceilings.flops_per_s = best_rate(pool, 2 * n * static_cast<double>(kChains * kLanes * kRounds),
                                   [](std::int64_t, int) { multiply_and_add(); });
  const HostMemory block = take_host_memory(static_cast<std::size_t>(kReadBytes));
  if (!block) throw OutOfMemory("what is read to measure the memory", kReadBytes);
  auto* bytes = static_cast<std::byte*>(block.get());
  std::memset(bytes, 0, static_cast<std::size_t>(kReadBytes));
  const std::int64_t part = kReadBytes / pool.threads() / 256 * 256;
  ceilings.bytes_per_s = best_rate(pool, n * static_cast<double>(part),
                                   [&](std::int64_t tile, int) { read(bytes + tile * part, part); });
  return ceilings;
}

}  // namespace zhgpt
