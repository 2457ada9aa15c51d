// What GPT-2 holds transposed in Hugging Face's layout, and reading the transpose of a matrix that comes in pieces, in bounded memory.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "zhgpt/checkpoint.h"

namespace zhgpt {

// Whether it is the weight of one of a block's four products: Conv1D there, (in, out).
bool is_conv1d_weight(std::string_view name);

// Bytes [offset, offset + to.size()) of the transpose, (cols, rows) row-major, of a matrix (rows, cols) of
// which `read` gives any part. Passes over the whole matrix in pieces of 16 MiB. REQUIRES: whole elements.
void read_transposed(const TensorReadFunction& read, std::int64_t rows, std::int64_t cols,
                     std::int64_t element_bytes, std::int64_t offset, std::span<std::byte> to);

}  // namespace zhgpt
