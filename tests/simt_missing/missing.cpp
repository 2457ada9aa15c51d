#include "cuda/ops.h"
#include "zhgpt/error.h"
namespace zhgpt::cuda {
#define Z(Op) template <class T> void execute(Context&, const Op&) { throw ConfigError("missing " #Op); } \
  template void execute<float>(Context&, const Op&); template void execute<__nv_bfloat16>(Context&, const Op&);
ZHGPT_FOR_EACH_OP(Z)
}
