// Dense products on a stream: by cuBLASLt on a device (matmul_cublaslt.cpp), by plain loops on the host
// runtime (simt/matmul_host.cpp). Whoever links chooses.
#pragma once

#include <cstdint>
#include <memory>

#include "cuda/stream.h"
#include "zhgpt/backend.h"

namespace zhgpt::cuda {

// out (m, n) = or += a (m, k) . b (k, n), all row-major, summed in f32; a transposed operand is stored as (k,
// m) or (n, k).
struct Product {
  struct Operand {
    const void* data;
    std::int64_t stride;  // elements from row to row as stored
    bool transposed = false;
  };
  enum class Epilogue {
    none,
    bias,       // out = product + bias
    bias_gelu,  // pre_gelu = product + bias, out = gelu(pre_gelu); bias may be absent
    dgelu,      // out = product * gelu'(pre_gelu)
  };

  std::int64_t m, n, k;
  Operand a, b;
  DType dtype;  // of a and b: f32 or bf16
  void* out;    // (m, n)
  DType out_dtype;
  std::int64_t out_stride = 0;  // elements from row to row of out, 0: n; only with Epilogue::none
  bool add = false;             // out += ; only with Epilogue::none
  Epilogue epilogue = Epilogue::none;
  const void* bias = nullptr;  // (n), out_dtype
  void* pre_gelu = nullptr;    // (m, n), out_dtype
  std::int64_t row_of_out() const { return out_stride ? out_stride : n; }
};

// Writes the product into the stream's ledger; tf32: it rounds f32 operands.
void record(Stream& stream, const Product& product, bool tf32);

class Matmul {
 public:
  virtual ~Matmul() = default;
  // Puts the product on the stream and in its ledger; on a dry stream only in the ledger. The first call with
  // a shape may search for the fastest algorithm and must not be captured; later calls with it take no memory
  // and do not wait. Throws DeviceError.
  virtual void run(Stream& stream, const Product& product) = 0;
  virtual std::int64_t workspace_bytes() const { return 0; }  // of device memory, taken at the start
};

// `dry` touches no device.
std::unique_ptr<Matmul> make_matmul(const CudaOptions& options, bool dry);

}  // namespace zhgpt::cuda
