// The choice of float or bf16 for an operation.
#pragma once

#include "cuda/ops.h"
#include "zhgpt/error.h"

namespace zhgpt::cuda {

template <class Op>
void dispatch(Context& context, const Op& op) {
  const DType dtype = real_dtype(op);
  if (dtype == DType::f64) throw ConfigError("the CUDA backend computes in f32 and bf16, not in f64");
  if (dtype == DType::bf16) {
    execute<__nv_bfloat16>(context, op);
  } else {
    execute<float>(context, op);
  }
}

}  // namespace zhgpt::cuda
