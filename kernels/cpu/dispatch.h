// The choice of float or double for an operation.
#pragma once

#include "cpu/ops.h"
#include "zhgpt/error.h"

namespace zhgpt::cpu {

template <class Op>
void dispatch(Context& context, const Op& op) {
  const DType dtype = real_dtype(op);
  if constexpr (requires { op.working; }) {
    if (op.working) throw ConfigError("AdamW: working: got a tensor, expected none on the CPU");
  }
  if (dtype == DType::bf16) throw ConfigError("the CPU backend computes in f32 and f64, not in bf16");
  if (dtype == DType::f64) {
    execute<double>(context, op);
  } else {
    execute<float>(context, op);
  }
}

}  // namespace zhgpt::cpu
