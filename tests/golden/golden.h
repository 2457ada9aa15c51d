// The closed formulas of tests/golden/make_golden.py in C++: parameters and ids that both sides compute to the same
// bits, so that gpt2_tiny.json need not hold them. The JSON's hash_rule, parameter_rule and ids_rule say the same.
#pragma once

#include <cstdint>
#include <string_view>

namespace zhgpt::golden {

inline std::uint32_t hash(std::string_view name, std::uint32_t index) {
  std::uint32_t h = 2166136261u;  // FNV-1a
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 16777619u;
  std::uint32_t x = h ^ (index * 0x9E3779B9u);
  x = (x ^ (x >> 16)) * 0x7FEB352Du;
  x = (x ^ (x >> 15)) * 0x846CA68Bu;
  return x ^ (x >> 16);
}

// Element `index` (row-major) of parameter `name` with `n_dims` dimensions.
inline float parameter(std::string_view name, int n_dims, std::uint32_t index) {
  const bool is_norm_weight = n_dims == 1 && name.ends_with(".weight");
  const float offset = is_norm_weight ? 1.0f : 0.0f;
  const float scale = n_dims == 2 ? 0.5f : 0.25f;
  const float u = static_cast<float>(static_cast<int>(hash(name, index) >> 16) - 32768) / 32768.0f;
  return offset + scale * u;  // exact: u has 16 bits, the sum at most 18
}

// Element `index` (row-major in (B, T)) of the ids `name`: "inputs", "targets", "batch0.inputs" ... "batch3.targets".
inline std::int32_t id(std::string_view name, std::uint32_t index, std::uint32_t vocab_size) {
  if (name == "targets" && index % 7 == 5) return -1;  // padding
  return static_cast<std::int32_t>(hash(name, index) % vocab_size);
}

}  // namespace zhgpt::golden
