#include "io/tensor_values.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "zhgpt/bfloat16.h"
#include "zhgpt/float16.h"

namespace zhgpt {
namespace {

template <class T>
T load(std::span<const std::byte> bytes, std::int64_t i) {
  T value;
  std::memcpy(&value, &bytes[static_cast<std::size_t>(i) * sizeof value], sizeof value);
  return value;
}

}  // namespace

double value_at(DType dtype, std::span<const std::byte> bytes, std::int64_t i) {
  switch (dtype) {
    case DType::f32:
      return static_cast<double>(load<float>(bytes, i));
    case DType::f64:
      return load<double>(bytes, i);
    case DType::bf16:
      return static_cast<double>(bfloat16_value(load<std::uint16_t>(bytes, i)));
    case DType::f16:
      return static_cast<double>(float16_value(load<std::uint16_t>(bytes, i)));
    case DType::i32:
      return load<std::int32_t>(bytes, i);
    case DType::i64:
      return static_cast<double>(load<std::int64_t>(bytes, i));
    case DType::u16:
      return load<std::uint16_t>(bytes, i);
    case DType::u8:
      return load<std::uint8_t>(bytes, i);
  }
  return 0;  // no reader lets another through
}

TensorPieces::TensorPieces(const Checkpoint& from, const TensorInfo& info)
    : from_(from), info_(info), left_(info.bytes() / dtype_bytes(info.dtype)) {}

bool TensorPieces::next() {
  count_ = std::min(left_, kPiece);
  if (count_ == 0) return false;
  buffer_.resize(static_cast<std::size_t>(count_ * dtype_bytes(info_.dtype)));
  from_.read(info_.kind, info_.name, offset_, buffer_);
  offset_ += std::ssize(buffer_);
  left_ -= count_;
  return true;
}

std::span<const std::byte> TensorPieces::bytes() const {
  return buffer_;
}

double tensor_norm(const Checkpoint& from, const TensorInfo& info) {
  double sum = 0;
  for (TensorPieces pieces(from, info); pieces.next();) {
    for (std::int64_t i = 0; i < pieces.count(); ++i) sum += pieces[i] * pieces[i];
  }
  return std::sqrt(sum);
}

}  // namespace zhgpt
