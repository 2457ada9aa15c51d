// bfloat16: the upper half of an IEEE single, for memory only; arithmetic is done in float.
#pragma once

#include <bit>
#include <cstdint>

namespace zhgpt {

// Rounds to the nearest, ties to even; a NaN stays one.
constexpr std::uint16_t bfloat16_bits(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}
constexpr float bfloat16_value(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

}  // namespace zhgpt
