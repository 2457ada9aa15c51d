#include "io/transpose.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "io/format.h"

namespace zhgpt {

bool is_conv1d_weight(std::string_view name) {
  for (const std::string_view end : {".attn.c_attn.weight", ".attn.c_proj.weight", ".mlp.c_fc.weight", ".mlp.c_proj.weight"}) {
    if (name.ends_with(end)) return true;
  }
  return false;
}

void read_transposed(const TensorReadFunction& read, std::int64_t rows, std::int64_t cols,
                     std::int64_t element_bytes, std::int64_t offset, std::span<std::byte> to) {
  const std::int64_t first = offset / element_bytes;  // wanted elements of the transpose: [first, last)
  const std::int64_t last = first + static_cast<std::int64_t>(to.size()) / element_bytes;
  const std::int64_t first_col = first / rows, last_col = (last - 1) / rows;
  const std::int64_t count = rows * cols, piece = format::kChunkBytes / element_bytes;
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min(count, piece) * element_bytes));
  for (std::int64_t begin = 0; begin < count; begin += piece) {
    const std::int64_t end = std::min(begin + piece, count);
    read(begin * element_bytes,
         std::span(buffer).first(static_cast<std::size_t>((end - begin) * element_bytes)));
    for (std::int64_t row = begin / cols; row * cols < end; ++row) {
      const std::int64_t from = std::max(first_col, begin - row * cols);
      const std::int64_t until = std::min(last_col + 1, end - row * cols);
      for (std::int64_t col = from; col < until; ++col) {
        const std::int64_t element = col * rows + row;
        if (element < first || element >= last) continue;
        std::memcpy(to.data() + (element - first) * element_bytes,
                    buffer.data() + (row * cols + col - begin) * element_bytes,
                    static_cast<std::size_t>(element_bytes));
      }
    }
  }
}

}  // namespace zhgpt
