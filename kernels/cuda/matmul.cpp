#include "cuda/matmul.h"

namespace zhgpt::cuda {

void record(Stream& stream, const Product& product, bool tf32) {
  if (!stream.ledger) return;
  constexpr const char* kNames[] = {"matmul", "matmul_bias", "matmul_bias_gelu", "matmul_dgelu"};
  const double m = static_cast<double>(product.m), n = static_cast<double>(product.n),
               k = static_cast<double>(product.k);
  const double in_bytes = static_cast<double>(dtype_bytes(product.dtype)),
               out_bytes = static_cast<double>(dtype_bytes(product.out_dtype));
  const double outs = (product.add ? 2 : 1) + (product.pre_gelu ? 1 : 0);  // how often (m, n) is moved
  const Arithmetic arithmetic = product.dtype == DType::bf16 ? Arithmetic::bf16
                                : tf32                       ? Arithmetic::tf32
                                                             : Arithmetic::fp32;
  stream.ledger->add({kNames[static_cast<int>(product.epilogue)],
                      {.flops = 2 * m * n * k,
                       .bytes = (m * k + k * n) * in_bytes + outs * m * n * out_bytes,
                       .arithmetic = arithmetic},
                      {}});
}

}  // namespace zhgpt::cuda
