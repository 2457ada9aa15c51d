// The CUDA code for each operation, by the type of its real operands: float or bf16; each is defined for both
// in the file of its family. The contracts are those of zhgpt/ops.h, and `Backend::check` has passed. An
// operation puts its kernels on context.stream and returns; it reads nothing back, takes no memory but
// scratch, and does the same launches for equal shapes.
#pragma once

#include <cuda_bf16.h>

#include "cuda/context.h"
#include "zhgpt/backend.h"

namespace zhgpt {
template <>
struct DTypeOf<__nv_bfloat16> {
  static constexpr DType value = DType::bf16;
};
}  // namespace zhgpt

namespace zhgpt::cuda {

#define ZHGPT_DECLARE(Op) \
  template <class T>      \
  void execute(Context& context, const Op& op);
ZHGPT_FOR_EACH_OP(ZHGPT_DECLARE)
#undef ZHGPT_DECLARE

#define ZHGPT_DEFINED_FOR_FLOAT_AND_BF16(Op)         \
  template void execute<float>(Context&, const Op&); \
  template void execute<__nv_bfloat16>(Context&, const Op&);

}  // namespace zhgpt::cuda
