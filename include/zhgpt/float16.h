// IEEE 754 half precision, for memory only; arithmetic is done in float.
#pragma once

#include <bit>
#include <cstdint>

namespace zhgpt {

// Rounds to the nearest, ties to even; beyond the largest half (65504) infinity; a NaN stays one.
constexpr std::uint16_t float16_bits(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<std::uint16_t>(sign | 0x7E00u);
  if (magnitude >= 0x47800000u) return static_cast<std::uint16_t>(sign | 0x7C00u);  // 2^16 and more
  if (magnitude < 0x38800000u) {
    // Below 2^-14: a multiple of 2^-24. Adding 0.5 leaves that multiple, rounded, in the lowest bits.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3F000000u));
  }
  // The exponent's bias changes from 127 to 15; rounding may carry into the exponent, up to infinity.
  const std::uint32_t rebiased = magnitude - 0x38000000u;
  return static_cast<std::uint16_t>(sign | ((rebiased + 0x0FFFu + ((rebiased >> 13) & 1u)) >> 13));
}
constexpr float float16_value(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000u) << 16, rest = bits & 0x7FFFu;
  if (rest >= 0x7C00u) return std::bit_cast<float>(sign | 0x7F800000u | (rest & 0x3FFu) << 13);
  if (rest >= 0x0400u) return std::bit_cast<float>(sign | ((rest << 13) + 0x38000000u));
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(static_cast<float>(rest) * 0x1p-24f));
}

}  // namespace zhgpt
