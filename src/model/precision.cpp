#include "model/precision.h"

#include <cstring>
#include <vector>

#include "zhgpt/bfloat16.h"
#include "zhgpt/float16.h"

namespace zhgpt {
namespace {

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <class T>
void store(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

double value_at(DType dtype, const std::byte* from) {
  switch (dtype) {
    case DType::f64:
      return load<double>(from);
    case DType::bf16:
      return static_cast<double>(bfloat16_value(load<std::uint16_t>(from)));
    case DType::f16:
      return static_cast<double>(float16_value(load<std::uint16_t>(from)));
    default:
      return static_cast<double>(load<float>(from));
  }
}

// A double on its way to a half would be rounded twice; only f64 is one, and nothing keeps halves of doubles.
void put_value(DType dtype, std::byte* to, double value) {
  switch (dtype) {
    case DType::f64:
      return store(to, value);
    case DType::bf16:
      return store(to, bfloat16_bits(static_cast<float>(value)));
    case DType::f16:
      return store(to, float16_bits(static_cast<float>(value)));
    default:
      return store(to, static_cast<float>(value));
  }
}

}  // namespace

bool is_real(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::bf16 || dtype == DType::f16;
}

void convert_elements(DType from_dtype, std::span<const std::byte> from, DType to_dtype,
                      std::span<std::byte> to) {
  const auto from_size = static_cast<std::size_t>(dtype_bytes(from_dtype));
  const auto to_size = static_cast<std::size_t>(dtype_bytes(to_dtype));
  for (std::size_t i = 0; i * to_size < to.size(); ++i) {
    put_value(to_dtype, to.data() + i * to_size, value_at(from_dtype, from.data() + i * from_size));
  }
}

TensorSource in_precision(const TensorSource& source, DType dtype) {
  const DType from = source.info.dtype;
  if (from == dtype || !is_real(from)) return source;
  TensorSource converted = source;
  converted.info.dtype = dtype;
  converted.read = [read = source.read, from, dtype](std::int64_t offset, std::span<std::byte> to) {
    const std::int64_t first = offset / dtype_bytes(dtype),
                       count = static_cast<std::int64_t>(to.size()) / dtype_bytes(dtype);
    std::vector<std::byte> bytes(static_cast<std::size_t>(count * dtype_bytes(from)));
    read(first * dtype_bytes(from), bytes);
    convert_elements(from, bytes, dtype, to);
  };
  return converted;
}

}  // namespace zhgpt
