// The golden numbers of tests/golden/gpt2_tiny.json and the closed formulas behind its parameters and ids.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "zhgpt/gpt.h"

namespace zhgpt::test {

inline const nlohmann::json& golden() {
  static const nlohmann::json json =
      nlohmann::json::parse(std::ifstream(ZHGPT_TESTS_DIR "/golden/gpt2_tiny.json"));
  return json;
}

// "hash_rule" of the file: FNV-1a of the name, mixed with the element index.
inline std::uint32_t golden_hash(const std::string& name, std::uint32_t i) {
  std::uint32_t h = 2166136261u;
  for (unsigned char c : name) h = (h ^ c) * 16777619u;
  std::uint32_t x = h ^ (i * 0x9E3779B9u);
  x = (x ^ (x >> 16)) * 0x7FEB352Du;
  x = (x ^ (x >> 15)) * 0x846CA68Bu;
  return x ^ (x >> 16);
}

inline ModelConfig golden_config() {
  const auto& c = golden()["config"];
  return {.n_layer = c["n_layer"],
          .n_head = c["n_head"],
          .n_embd = c["n_embd"],
          .block_size = c["block_size"],
          .vocab_size = c["vocab_size"]};
}

// "parameter_rule" of the file.
inline std::vector<float> golden_parameters(const ParameterTable& table) {
  std::vector<float> flat(static_cast<std::size_t>(table.flat_size()), 0.0f);
  for (const ParameterSpec& spec : table.specs()) {
    const bool is_matrix = spec.shape.size() == 2, is_bias = spec.name.ends_with("bias");
    const float offset = is_matrix || is_bias ? 0.0f : 1.0f, scale = is_matrix ? 0.5f : 0.25f;
    for (std::int64_t i = 0; i < spec.numel; ++i) {
      const auto top = static_cast<float>(golden_hash(spec.name, static_cast<std::uint32_t>(i)) >> 16);
      flat[static_cast<std::size_t>(spec.offset + i)] = offset + scale * ((top - 32768.0f) / 32768.0f);
    }
  }
  return flat;
}

inline std::vector<std::int32_t> golden_ids(const std::string& name, std::int64_t count, bool padded) {
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto V = static_cast<std::uint32_t>(golden_config().vocab_size);
    const auto id = static_cast<std::int32_t>(golden_hash(name, static_cast<std::uint32_t>(i)) % V);
    ids.push_back(padded && i % 7 == 5 ? -1 : id);
  }
  return ids;
}

}  // namespace zhgpt::test
