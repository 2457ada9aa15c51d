// Weights in a .safetensors file of another program, and for one: u64 length N, N bytes of JSON, then the data.
//
// A reader that takes files from strangers: the rules of the reference implementation (safetensors 0.8), and no tensor
// without elements, which there may lie anywhere. Whatever else a file says, memory is bounded by its header.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/byte_source.h"
#include "zhgpt/checkpoint.h"

namespace zhgpt::interop {

struct StoredTensor {
  std::string name, dtype;  // as the file spells them, "F32"
  std::vector<std::int64_t> shape;
  std::int64_t offset = 0, bytes = 0;  // in the file
};

// In the order of their data. Throws CheckpointError naming the byte and the rule: length, JSON, names that come twice,
// shapes of more than 8 dimensions, holes, overlaps, bytes that belong to no tensor.
std::vector<StoredTensor> read_safetensors_header(const ByteSource& file);

// Writes f32 tensors, with the mark {"format": "pt"} that transformers asks for.
void write_safetensors_weights(const std::string& path, const std::vector<TensorSource>& tensors);

}  // namespace zhgpt::interop
