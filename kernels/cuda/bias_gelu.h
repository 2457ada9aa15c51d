// What a product's epilogue does, as a kernel of its own: for the types and shapes whose epilogue a library
// does not offer.
#pragma once

#include "cuda/matmul.h"

namespace zhgpt::cuda {

// Where the plain product is to be put, so that apply_epilogue can finish it: pre_gelu with bias_gelu, or
// out.
inline void* plain_product_of(const Product& product) {
  return product.epilogue == Product::Epilogue::bias_gelu ? product.pre_gelu : product.out;
}

// Finishes it there, or from there: adds the bias, writes the GELU, or multiplies with its derivative. What
// lies in memory between is rounded to out_dtype.
void apply_epilogue(Stream& stream, const Product& product);

}  // namespace zhgpt::cuda
