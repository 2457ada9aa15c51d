#include "cuda/cublaslt.h"

#include "cuda/shared_library.h"

namespace zhgpt::cuda {
namespace {

#define ZHGPT_TEXT_OF(x) #x
#define ZHGPT_TEXT(x) ZHGPT_TEXT_OF(x)
constexpr const char* kFile = "libcublasLt.so." ZHGPT_TEXT(CUBLAS_VER_MAJOR);
constexpr const char* kPackage =
    "cuBLAS " ZHGPT_TEXT(CUBLAS_VER_MAJOR) " (libcublas of the CUDA toolkit, or nvidia-cublas of PyPI)";

CublasLt load() {
  // The dynamic linker's path first, then where the toolkit was when this was built.
  const SharedLibrary library({kFile, std::string(ZHGPT_CUDA_LIBRARY_DIR "/") + kFile}, kPackage);
  CublasLt table;
#define ZHGPT_FIND(function) library.find(#function, table.function);
  ZHGPT_FOR_EACH_CUBLASLT_FUNCTION(ZHGPT_FIND)
#undef ZHGPT_FIND
  return table;
}

}  // namespace

const CublasLt& cublaslt() {
  static const CublasLt table = load();
  return table;
}

}  // namespace zhgpt::cuda
