// Ceilings: what a device reaches at its best, as measured. Shares of a peak are shares of these.
#pragma once

#include "zhgpt/backend.h"

namespace zhgpt {

struct Ceilings {
  double bytes_per_s = 0, flops_per_s = 0;
};

// How a device is to compute.
struct Precision {
  DType dtype = DType::f32;
  bool tf32 = false;  // with f32: the backend was made to round the operands of products
};

// Of a GPU: a copy of 512 MiB, bytes read and written, and a product of random 8192 x 8192 matrices. Both 0
// for a backend that keeps no books.
Ceilings measure_ceilings(Backend& device, Precision precision);

// Of the CPU, on so many threads at once (0: all that this process may use): multiply-adds of f32 in
// registers, as wide as this build's vectors, and reading 256 MiB, more than its caches hold. The best of
// several tries; about half a second.
Ceilings measure_cpu_ceilings(int threads);

}  // namespace zhgpt
