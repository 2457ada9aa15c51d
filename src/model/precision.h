// Parameters in another precision than they are kept in.
#pragma once

#include <cstddef>
#include <span>

#include "zhgpt/checkpoint.h"

namespace zhgpt {

bool is_real(DType dtype);  // f32, f64, f16, bf16

// Each element rounded to the nearest, ties to even. REQUIRES: real dtypes; as many elements in both.
void convert_elements(DType from_dtype, std::span<const std::byte> from, DType to_dtype,
                      std::span<std::byte> to);

// The tensor as if it had been kept in `dtype`; itself when it is, or when it is not of reals.
TensorSource in_precision(const TensorSource& source, DType dtype);

}  // namespace zhgpt
