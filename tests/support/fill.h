// Test data: a pure function of (site, index), the same in every test run; reals are exact in bf16, so that
// all devices and the references see equal inputs.
#pragma once

#include <cstdint>
#include <vector>

#include "zhgpt/bfloat16.h"
#include "zhgpt/rng.h"

namespace zhgpt::test {

constexpr std::uint64_t kFillSeed = 20240229;

inline std::uint32_t random_word(std::uint32_t site, std::int64_t index) {
  return random_block(kFillSeed, RandomStream::init, 0, site, static_cast<std::uint64_t>(index))[0];
}

// Uniform in [centre - spread, centre + spread).
inline std::vector<double> random_reals(std::int64_t count, std::uint32_t site, double spread = 1,
                                        double centre = 0) {
  std::vector<double> values(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    const double unit = 2.0 * static_cast<double>(uniform_float(random_word(site, i))) - 1.0;
    const auto value = static_cast<float>(centre + spread * unit);
    values[static_cast<std::size_t>(i)] = static_cast<double>(bfloat16_value(bfloat16_bits(value)));
  }
  return values;
}

// Uniform in [0, limit).
inline std::vector<std::int32_t> random_ids(std::int64_t count, std::uint32_t site, std::int64_t limit) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    ids[static_cast<std::size_t>(i)] =
        static_cast<std::int32_t>(random_word(site, i) % static_cast<std::uint64_t>(limit));
  }
  return ids;
}

}  // namespace zhgpt::test
