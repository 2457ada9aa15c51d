// The operands of one operation on one backend: numbers that are the same on every backend and for every
// dtype, a function of the order in which they are asked for.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "zhgpt/backend.h"

namespace zhgpt::selftest {

class Operands {
 public:
  using Shape = std::initializer_list<std::int64_t>;

  Operands(Backend& backend, DType dtype) : backend_(backend), dtype_(dtype) {}

  Backend& backend() { return backend_; }
  DType dtype() const { return dtype_; }
  DType exact_dtype() const { return dtype_ == DType::bf16 ? DType::f32 : dtype_; }

  // Uniform in [centre - spread, centre + spread), rounded to bf16, so that every dtype holds them exactly.
  Tensor reals(Shape shape, double spread = 1, double centre = 0);
  // The same for operands that ops.h calls exact, and for those that are f32 whatever the dtype.
  Tensor exacts(Shape shape, double spread = 1, double centre = 0);
  Tensor floats(Shape shape, double spread = 1);
  // Outputs that are to be overwritten: NaN, so that what is left of them, or read of them, shows.
  Tensor unset(Shape shape);
  Tensor unset_exact(Shape shape);
  // Values that another backend computed: `values` rounded to bf16, or to f32 for exact ones.
  Tensor given(const std::vector<double>& values, Shape shape);
  Tensor given_exact(const std::vector<double>& values, Shape shape);
  Tensor ids(Shape shape, std::int64_t limit);  // i32 in [0, limit)
  Tensor longs(const std::vector<std::int64_t>& values, Shape shape);
  StepState* state(const StepState& initial);

 private:
  Tensor place(const std::vector<float>& values, DType dtype, Shape shape);
  Tensor random(DType dtype, Shape shape, double spread, double centre);
  void* room(const void* bytes, std::int64_t count);

  Backend& backend_;
  DType dtype_;
  std::uint32_t site_ = 0;
  std::vector<Buffer> buffers_;
};

// A tensor's numbers, whatever its dtype.
std::vector<double> read(Backend& backend, const Tensor& tensor);

}  // namespace zhgpt::selftest
