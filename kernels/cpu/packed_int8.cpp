#include "cpu/packed_int8.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "cpu/packed_weight.h"

namespace zhgpt::cpu {
namespace {

// Weights: a vector of a packed weight, four successive c of each of kLanes channels. add_products: sums +=
// those four products of each channel, with four bytes of a row in `quad`. kOffset: what is added to weights
// before they are multiplied.
#if defined(__AVX512VNNI__)
constexpr int kLanes = 16, kRows = 4;  // rows at once: as many accumulators as the registers hold
using Sums [[gnu::vector_size(64)]] = std::int32_t;
constexpr std::int32_t kOffset = 128;  // one operand of the instruction is unsigned
struct Weights {
  __m512i bytes;
  [[gnu::always_inline]] explicit Weights(const std::int8_t* from)
      : bytes(_mm512_loadu_si512(from) ^ _mm512_set1_epi8(-128)) {}
};
[[gnu::always_inline]] inline void add_products(Sums& sums, const Weights& w, std::int32_t quad) {
  sums = reinterpret_cast<Sums>(
      _mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sums), w.bytes, _mm512_set1_epi32(quad)));
}
#elif defined(__AVX2__)
constexpr int kLanes = 8, kRows = 1;
using Sums [[gnu::vector_size(32)]] = std::int32_t;
constexpr std::int32_t kOffset = 0;
struct Weights {
  __m256i bytes;
  [[gnu::always_inline]] explicit Weights(const std::int8_t* from)
      : bytes(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))) {}
};
// |w| times q with the sign of w, since one operand of the instruction is unsigned. Its sums of two are at
// most 2 * 127 * 127, which 16 bits hold.
[[gnu::always_inline]] inline void add_products(Sums& sums, const Weights& w, std::int32_t quad) {
  const __m256i q = _mm256_sign_epi8(_mm256_set1_epi32(quad), w.bytes);
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w.bytes), q);
  sums += reinterpret_cast<Sums>(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#else
constexpr int kLanes = 4, kRows = 1;
using Sums [[gnu::vector_size(16)]] = std::int32_t;
constexpr std::int32_t kOffset = 0;
using Shorts [[gnu::vector_size(16)]] = std::int16_t;
// The first and third byte of each four, and the second and fourth.
struct Weights {
  Shorts even, odd;
  explicit Weights(const std::int8_t* from) {
    Shorts both;
    std::memcpy(&both, from, sizeof both);
    even = both << 8 >> 8;
    odd = both >> 8;
  }
};
inline void add_products(Sums& sums, const Weights& w, std::int32_t quad) {
  const Sums quads = Sums{} + quad;
  std::int8_t q[16];
  std::memcpy(q, &quads, sizeof q);
  const Weights row(q);
  const Shorts pairs = w.even * row.even + w.odd * row.odd;  // at most 2 * 127 * 127, which 16 bits hold
  Sums both;
  std::memcpy(&both, &pairs, sizeof both);
  sums += (both << 16 >> 16) + (both >> 16);
}
#endif
constexpr int kVectors = kGroup / kLanes;
using Vector [[gnu::vector_size(kLanes * 4)]] = float;

// R rows of the result in the channels of one group.
template <int R>
[[gnu::noinline]] void multiply_rows(const PackedWeight& weight, std::int64_t group, const QuantisedRow* rows,
                                     float* out) {
  const std::int64_t begin = group * kGroup, count = std::min(kGroup, weight.OC - begin),
                     words = PackedWeight::words(weight.type, weight.C);
  const std::int8_t* at = static_cast<const std::int8_t*>(weight.data) + begin * words * 4;
  Sums sums[R][kVectors];
  for (int r = 0; r < R; ++r) {
    for (Sums& s : sums[r]) s = Sums{} - kOffset * rows[r].sum;
  }
  for (std::int64_t k = 0; k < words; ++k) {
    std::int32_t quad[R];
    for (int r = 0; r < R; ++r) std::memcpy(&quad[r], rows[r].values + 4 * k, 4);
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v, at += 4 * kLanes) {
      const Weights weights(at);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) add_products(sums[r][v], weights, quad[r]);
    }
  }
  for (int r = 0; r < R; ++r) {
    float result[kGroup];
    for (int v = 0; v < kVectors; ++v) {
      Vector factors;
      std::memcpy(&factors, factors_of(weight) + begin + v * kLanes, sizeof factors);
      const Vector x = __builtin_convertvector(sums[r][v], Vector) * (factors * rows[r].factor);
      std::memcpy(result + v * kLanes, &x, sizeof x);
    }
    std::memcpy(out + r * weight.OC + begin, result, static_cast<std::size_t>(count) * sizeof(float));
  }
}

}  // namespace

float quantise(const float* x, std::int64_t count, std::int8_t* to) {
  constexpr std::uint32_t kSign = 0x80000000u, kInfinity = 0x7f800000u;
  std::uint32_t most = 0;  // as bits, which are ordered like absolute values, with NaN above all
  for (std::int64_t i = 0; i < count; ++i) most = std::max(most, std::bit_cast<std::uint32_t>(x[i]) & ~kSign);
  const float factor =
      most < kInfinity ? std::bit_cast<float>(most) / 127 : std::numeric_limits<float>::quiet_NaN();
  if (!(factor > 0)) {
    std::fill_n(to, count, std::int8_t{0});
    return factor;
  }
  constexpr float kRound = 12582912.f;  // 1.5 * 2^23: adding it rounds to a whole number, in the low bits
  for (std::int64_t i = 0; i < count; ++i) {
    const float q = std::min(std::max(x[i] / factor, -127.f), 127.f);  // a factor near 0 is itself not exact
    to[i] = static_cast<std::int8_t>(std::bit_cast<std::int32_t>(q + kRound) -
                                     std::bit_cast<std::int32_t>(kRound));
  }
  return factor;
}

void multiply_group(const PackedWeight& weight, std::int64_t group, const QuantisedRow* rows, std::int64_t N,
                    float* out) {
  std::int64_t n = 0;
  for (; n + kRows <= N; n += kRows) multiply_rows<kRows>(weight, group, rows + n, out + n * weight.OC);
  for (; n < N; ++n) multiply_rows<1>(weight, group, rows + n, out + n * weight.OC);
}

}  // namespace zhgpt::cpu
