// The dense product of one tile, on the calling thread, by OpenBLAS.
//
// gemm: c (m, n) = alpha * a . b + beta * c, all row-major; `a` is (m, k), or (k, m) when transposed, `b`
// likewise. The order of its sums depends on the shapes alone. With beta = 0, c is written without being
// read.
#pragma once

#include <cblas.h>

#include <cstdint>

namespace zhgpt::cpu {

enum class Transposed { neither, a, b };

template <class T>
struct Matrix {
  T* data;
  std::int64_t stride;  // from row to row
};

template <class T>
void gemm(Transposed transposed, std::int64_t m, std::int64_t n, std::int64_t k, T alpha, Matrix<const T> a,
          Matrix<const T> b, T beta, Matrix<T> c) {
  const auto ta = transposed == Transposed::a ? CblasTrans : CblasNoTrans;
  const auto tb = transposed == Transposed::b ? CblasTrans : CblasNoTrans;
  const auto i = [](std::int64_t size) { return static_cast<blasint>(size); };
  if constexpr (sizeof(T) == sizeof(float)) {
    cblas_sgemm(CblasRowMajor, ta, tb, i(m), i(n), i(k), alpha, a.data, i(a.stride), b.data, i(b.stride),
                beta, c.data, i(c.stride));
  } else {
    cblas_dgemm(CblasRowMajor, ta, tb, i(m), i(n), i(k), alpha, a.data, i(a.stride), b.data, i(b.stride),
                beta, c.data, i(c.stride));
  }
}

}  // namespace zhgpt::cpu
