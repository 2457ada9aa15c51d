// Tensor: a non-owning view of contiguous memory with a dtype and a shape.
//
// It says where numbers are and how they are laid out; it never allocates, copies or computes. The memory may
// be on a device: only a Backend may follow `data`. Sizes are signed 64-bit so that products cannot wrap.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace zhgpt {

// DO NOT CHANGE THESE VALUES: they are written into checkpoints (checkpoints/FORMAT.md).
enum class DType : std::uint16_t { f32 = 1, f64 = 2, bf16 = 3, i32 = 4, i64 = 5, u16 = 6, u8 = 7, f16 = 8 };

std::int64_t dtype_bytes(DType dtype);
const char* dtype_name(DType dtype);

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<std::int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<std::uint16_t> {
  static constexpr DType value = DType::u16;
};

struct Tensor {
  static constexpr int kMaxRank = 5;

  void* data = nullptr;
  DType dtype = DType::f32;
  int rank = 0;
  std::array<std::int64_t, kMaxRank> dims{};

  Tensor() = default;
  Tensor(void* data, DType dtype, std::initializer_list<std::int64_t> shape);

  // An absent tensor stands for an optional operand that was not given.
  explicit operator bool() const { return data != nullptr; }
  std::int64_t dim(int axis) const { return dims[static_cast<std::size_t>(axis)]; }
  std::int64_t numel() const;
  std::int64_t bytes() const { return numel() * dtype_bytes(dtype); }

  // REQUIRES: dtype is T's; throws ConfigError otherwise (a programming error, never user input).
  template <class T>
  T* as() const {
    if (dtype != DTypeOf<T>::value) throw_wrong_dtype(DTypeOf<T>::value);
    return static_cast<T*>(data);
  }
  // The same memory seen with another shape. REQUIRES: equal element count.
  Tensor reshaped(std::initializer_list<std::int64_t> shape) const;
  // Rows [begin, begin + count) along the first axis.
  Tensor rows(std::int64_t begin, std::int64_t count) const;

  std::string shape_text() const;  // "(768, 128)"

 private:
  [[noreturn]] void throw_wrong_dtype(DType wanted) const;
};

std::int64_t bytes_of(const std::vector<Tensor>& tensors);  // of all together

}  // namespace zhgpt
