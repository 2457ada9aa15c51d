// The functions of cuBLASLt that are used, from the library as it is loaded for the first CUDA backend. Linked
// at build time, its hundreds of megabytes would burden every start of the program, and without it there
// would be none.
#pragma once

#include <cublasLt.h>

namespace zhgpt::cuda {

#define ZHGPT_FOR_EACH_CUBLASLT_FUNCTION(X)                                                                \
  X(cublasLtCreate)                                                                                        \
  X(cublasLtDestroy) X(cublasLtGetStatusString) X(cublasLtGetVersion) X(cublasLtMatmul)                    \
      X(cublasLtMatmulAlgoCheck) X(cublasLtMatmulAlgoGetHeuristic) X(cublasLtMatmulDescCreate)             \
          X(cublasLtMatmulDescDestroy) X(cublasLtMatmulDescSetAttribute) X(cublasLtMatmulPreferenceCreate) \
              X(cublasLtMatmulPreferenceDestroy) X(cublasLtMatmulPreferenceSetAttribute)                   \
                  X(cublasLtMatrixLayoutCreate) X(cublasLtMatrixLayoutDestroy)

struct CublasLt {
#define ZHGPT_DECLARE(function) decltype(&::function) function;
  ZHGPT_FOR_EACH_CUBLASLT_FUNCTION(ZHGPT_DECLARE)
#undef ZHGPT_DECLARE
};

// Throws DeviceError when the library is not there.
const CublasLt& cublaslt();

}  // namespace zhgpt::cuda
