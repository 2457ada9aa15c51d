#include "interop/tensor_views.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "io/transpose.h"
#include "zhgpt/bfloat16.h"
#include "zhgpt/error.h"
#include "zhgpt/float16.h"
#include "zhgpt/messages.h"

namespace zhgpt::interop {
namespace {

template <class T>
std::vector<T> read_elements(const TensorSource& source, std::int64_t first, std::size_t count) {
  std::vector<T> elements(count);
  source.read(first * static_cast<std::int64_t>(sizeof(T)), std::as_writable_bytes(std::span(elements)));
  return elements;
}

// A reader of To elements, each computed from the element of type From in its place.
template <class From, class To, class Convert>
TensorReadFunction elementwise(TensorSource source, Convert convert) {
  return [source = std::move(source), convert](std::int64_t offset, std::span<std::byte> to) {
    const auto elements =
        read_elements<From>(source, offset / static_cast<std::int64_t>(sizeof(To)), to.size() / sizeof(To));
    for (std::size_t i = 0; i < elements.size(); ++i) {
      const To value = convert(elements[i]);
      std::memcpy(to.data() + i * sizeof(To), &value, sizeof(To));
    }
  };
}

std::vector<float> mean_row(const TensorSource& source) {
  const auto columns = static_cast<std::size_t>(source.info.shape[1]);
  std::vector<double> sum(columns);
  std::size_t column = 0;
  for_each_piece(source, [&](std::span<const std::byte> piece) {
    for (; !piece.empty(); piece = piece.subspan(sizeof(float))) {
      float value = 0;
      std::memcpy(&value, piece.data(), sizeof value);
      sum[column] += static_cast<double>(value);
      column = column + 1 == columns ? 0 : column + 1;
    }
  });
  std::vector<float> mean(columns);
  for (std::size_t c = 0; c < columns; ++c)
    mean[c] = static_cast<float>(sum[c] / static_cast<double>(source.info.shape[0]));
  return mean;
}

// How many rows from `first` on, at most `most`, lie one after the other in the source too.
std::int64_t run_length(const std::vector<std::int64_t>& rows, std::size_t first, std::int64_t most) {
  std::size_t end = first + 1;
  while (end < rows.size() && static_cast<std::int64_t>(end - first) < most && rows[first] >= 0 &&
         rows[end] == rows[first] + static_cast<std::int64_t>(end - first)) {
    ++end;
  }
  return static_cast<std::int64_t>(end - first);
}

}  // namespace

TensorSource renamed(TensorSource source, std::string name) {
  source.info.name = std::move(name);
  return source;
}

TensorSource as_f32(TensorSource source) {
  TensorInfo info = source.info;
  info.dtype = DType::f32;
  switch (source.info.dtype) {
    case DType::f32:
      return source;
    case DType::f16:
      return {std::move(info), elementwise<std::uint16_t, float>(std::move(source), float16_value)};
    case DType::bf16:
      return {std::move(info), elementwise<std::uint16_t, float>(std::move(source), bfloat16_value)};
    default:
      throw CheckpointError(tr(Msg::interop_dtype, info.name, dtype_name(source.info.dtype)));
  }
}

TensorSource as_f16(TensorSource source) {
  TensorInfo info = source.info;
  info.dtype = DType::f16;
  const auto convert = [name = info.name](float value) {
    const std::uint16_t bits = float16_bits(value);
    if (!std::isfinite(float16_value(bits))) throw CheckpointError(tr(Msg::interop_too_large, name, value));
    return bits;
  };
  return {std::move(info), elementwise<float, std::uint16_t>(std::move(source), convert)};
}

TensorSource transposed(TensorSource source) {
  TensorInfo info = source.info;
  std::swap(info.shape[0], info.shape[1]);
  return {std::move(info), [source = std::move(source)](std::int64_t offset, std::span<std::byte> to) {
            const std::int64_t rows = source.info.shape[0], columns = source.info.shape[1];
            read_transposed(source.read, rows, columns, dtype_bytes(source.info.dtype), offset, to);
          }};
}

TensorSource with_rows(TensorSource source, std::shared_ptr<const std::vector<std::int64_t>> rows) {
  TensorInfo info = source.info;
  info.shape[0] = static_cast<std::int64_t>(rows->size());
  auto mean = std::make_shared<std::vector<float>>();
  return {info, [source = std::move(source), rows, mean](std::int64_t offset, std::span<std::byte> to) {
            const std::int64_t row_bytes = source.info.shape[1] * dtype_bytes(DType::f32);
            while (!to.empty()) {
              const auto place = static_cast<std::size_t>(offset / row_bytes);
              const std::int64_t row = (*rows)[place], at = offset % row_bytes;
              const auto wanted = static_cast<std::int64_t>(to.size());
              const std::int64_t run =
                  run_length(*rows, place, (at + wanted) / row_bytes + 1) * row_bytes - at;
              const auto part = to.first(static_cast<std::size_t>(std::min(wanted, run)));
              if (row >= 0) {
                source.read(row * row_bytes + at, part);
              } else if (row == kZeroRow) {
                std::fill(part.begin(), part.end(), std::byte{0});
              } else {
                if (mean->empty()) *mean = mean_row(source);
                std::memcpy(part.data(), reinterpret_cast<const std::byte*>(mean->data()) + at, part.size());
              }
              offset += static_cast<std::int64_t>(part.size());
              to = to.subspan(part.size());
            }
          }};
}

bool equal_bytes(const TensorSource& a, const TensorSource& b) {
  if (a.info.dtype != b.info.dtype || a.info.shape != b.info.shape) return false;
  bool equal = true;
  std::int64_t offset = 0;
  std::vector<std::byte> other;
  for_each_piece(a, [&](std::span<const std::byte> piece) {
    other.resize(piece.size());
    b.read(offset, other);
    equal = equal && std::equal(piece.begin(), piece.end(), other.begin());
    offset += static_cast<std::int64_t>(piece.size());
  });
  return equal;
}

}  // namespace zhgpt::interop
