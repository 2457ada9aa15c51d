// The CPU's code for each operation, by the type of its real operands; each is defined for float and double
// in the file of its family. The contracts are those of zhgpt/ops.h, and `Backend::check` has passed.
#pragma once

#include "cpu/context.h"
#include "zhgpt/backend.h"

namespace zhgpt::cpu {

#define ZHGPT_DECLARE(Op) \
  template <class T>      \
  void execute(Context& context, const Op& op);
ZHGPT_FOR_EACH_OP(ZHGPT_DECLARE)
#undef ZHGPT_DECLARE

#define ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(Op)       \
  template void execute<float>(Context&, const Op&); \
  template void execute<double>(Context&, const Op&);

}  // namespace zhgpt::cpu
