// Reading the transpose of a matrix that comes in pieces, in bounded memory.
#pragma once

#include <cstdint>
#include <span>

#include "zhgpt/checkpoint.h"

namespace zhgpt {

// Bytes [offset, offset + to.size()) of the transpose, (cols, rows) row-major, of a matrix (rows, cols) of
// which `read` gives any part. Passes over the whole matrix in pieces of 16 MiB. REQUIRES: whole elements.
void read_transposed(const TensorReadFunction& read, std::int64_t rows, std::int64_t cols,
                     std::int64_t element_bytes, std::int64_t offset, std::span<std::byte> to);

}  // namespace zhgpt
