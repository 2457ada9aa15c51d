#include "zhgpt/tensor.h"

#include "zhgpt/error.h"

namespace zhgpt {

std::int64_t dtype_bytes(DType dtype) {
  switch (dtype) {
    case DType::f32: return 4;
    case DType::f64: return 8;
    case DType::bf16: return 2;
    case DType::i32: return 4;
    case DType::i64: return 8;
    case DType::u16: return 2;
    case DType::u8: return 1;
    case DType::f16: return 2;
  }
  throw ConfigError("dtype_bytes: no such dtype: " + std::to_string(static_cast<int>(dtype)));
}

const char* dtype_name(DType dtype) {
  switch (dtype) {
    case DType::f32: return "f32";
    case DType::f64: return "f64";
    case DType::bf16: return "bf16";
    case DType::i32: return "i32";
    case DType::i64: return "i64";
    case DType::u16: return "u16";
    case DType::u8: return "u8";
    case DType::f16: return "f16";
  }
  return "?";
}

Tensor::Tensor(void* data_, DType dtype_, std::initializer_list<std::int64_t> shape) : data(data_), dtype(dtype_) {
  if (shape.size() > kMaxRank) throw ConfigError("Tensor: rank above " + std::to_string(kMaxRank));
  for (std::int64_t size : shape) dims[static_cast<std::size_t>(rank++)] = size;
}

std::int64_t Tensor::numel() const {
  std::int64_t count = 1;
  for (int axis = 0; axis < rank; ++axis) count *= dim(axis);
  return count;
}

Tensor Tensor::reshaped(std::initializer_list<std::int64_t> shape) const {
  Tensor view(data, dtype, shape);
  if (view.numel() != numel()) {
    throw ConfigError("Tensor::reshaped: " + shape_text() + " to " + view.shape_text() + " changes the size");
  }
  return view;
}

Tensor Tensor::rows(std::int64_t begin, std::int64_t count) const {
  if (rank == 0 || begin < 0 || count < 0 || begin + count > dim(0)) {
    throw ConfigError("Tensor::rows: [" + std::to_string(begin) + ", +" + std::to_string(count) + ") of " + shape_text());
  }
  Tensor view = *this;
  std::int64_t row_bytes = dtype_bytes(dtype);
  for (int axis = 1; axis < rank; ++axis) row_bytes *= dim(axis);
  view.data = static_cast<char*>(data) + begin * row_bytes;
  view.dims[0] = count;
  return view;
}

std::string Tensor::shape_text() const {
  std::string text = "(";
  for (int axis = 0; axis < rank; ++axis) text += (axis ? ", " : "") + std::to_string(dim(axis));
  return text + ")";
}

void Tensor::throw_wrong_dtype(DType wanted) const {
  throw ConfigError(std::string("Tensor: holds ") + dtype_name(dtype) + ", read as " + dtype_name(wanted));
}

std::int64_t bytes_of(const std::vector<Tensor>& tensors) {
  std::int64_t bytes = 0;
  for (const Tensor& tensor : tensors) bytes += tensor.bytes();
  return bytes;
}

}  // namespace zhgpt
