// The header of a .safetensors file, whoever wrote it, proven by the rules of the reference library
// (https://github.com/huggingface/safetensors, README "Format"): length of the header, JSON, then the
// tensors' bytes, one behind the other without holes or overlap up to the end of the file. No key comes
// twice.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "io/byte_source.h"

namespace zhgpt {

struct SafetensorsTensor {
  std::string name;   // any text
  std::string dtype;  // "F32", one of those whose size is known
  std::vector<std::int64_t> shape;
  std::int64_t begin = 0, end = 0;  // in the file
};

struct SafetensorsHeader {
  std::vector<std::pair<std::string, std::string>> metadata;
  std::vector<SafetensorsTensor> tensors;  // in the order of their bytes
  std::int64_t data_begin = 0;

  const std::string* find_metadata(const std::string& key) const;  // nullptr when it is not there
};

inline constexpr std::int64_t kMostSafetensorsHeaderBytes = 100'000'000;  // the reference library's limit

// Throws CheckpointError naming the byte and the rule.
SafetensorsHeader read_safetensors_header(const ByteSource& source);

}  // namespace zhgpt
