// Dense products for the host runtime: what cuBLASLt does on a device, as plain loops on a stream.
//
// Summed in float over k in ascending order and rounded once to the result's dtype. Like a copy it is work of
// the runtime's own: operands are looked at when the stream comes to it, and what it writes is told to the
// race checker; that they lie in device memory is checked at once.
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "cuda/error.h"
#include "cuda/matmul.h"
#include "simt/cudart.h"
#include "simt/race.h"
#include "simt/region.h"
#include "zhgpt/bfloat16.h"
#include "zhgpt/error.h"

namespace zhgpt::cuda {
namespace {

float load(const void* data, DType dtype, std::int64_t i) {
  if (dtype == DType::f32) return static_cast<const float*>(data)[i];
  return bfloat16_value(static_cast<const std::uint16_t*>(data)[i]);
}
void store(void* data, DType dtype, std::int64_t i, float value) {
  if (dtype == DType::f32) {
    static_cast<float*>(data)[i] = value;
  } else {
    static_cast<std::uint16_t*>(data)[i] = bfloat16_bits(value);
  }
  simt::race::initialised(static_cast<char*>(data) + i * dtype_bytes(dtype),
                          static_cast<std::size_t>(dtype_bytes(dtype)));
}

// (rows, columns) in float, row-major, not transposed.
std::vector<float> gather(const Product::Operand& from, DType dtype, std::int64_t rows,
                          std::int64_t columns) {
  std::vector<float> matrix;
  matrix.reserve(static_cast<std::size_t>(rows * columns));
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c) {
      matrix.push_back(load(from.data, dtype, from.transposed ? c * from.stride + r : r * from.stride + c));
    }
  }
  return matrix;
}

float sigmoid_of_2u(float x) {
  const float u = 0.7978845608f * (x + 0.044715f * x * x * x);
  return 1 / (1 + std::exp(-2 * u));
}
float gelu(float x) {
  return x * sigmoid_of_2u(x);
}
float gelu_derivative(float x) {
  const float s = sigmoid_of_2u(x), slope = 1.5957691216f * (1 + 3 * 0.044715f * x * x);
  return s * (1 + x * (1 - s) * slope);
}

void finish(const Product& p, std::int64_t row, std::int64_t column, float sum) {
  const std::int64_t i = row * p.row_of_out() + column;
  if (p.bias) sum += load(p.bias, p.out_dtype, column);
  if (p.add) sum += load(p.out, p.out_dtype, i);
  if (p.epilogue == Product::Epilogue::bias_gelu) {
    store(p.pre_gelu, p.out_dtype, i, sum);
    sum = gelu(sum);
  } else if (p.epilogue == Product::Epilogue::dgelu) {
    sum *= gelu_derivative(load(p.pre_gelu, p.out_dtype, i));
  }
  store(p.out, p.out_dtype, i, sum);
}

void multiply(const Product& p) {
  const std::vector<float> a = gather(p.a, p.dtype, p.m, p.k), b = gather(p.b, p.dtype, p.k, p.n);
  std::vector<float> sums(static_cast<std::size_t>(p.n));
  for (std::int64_t i = 0; i < p.m; ++i) {
    sums.assign(sums.size(), 0);
    for (std::int64_t l = 0; l < p.k; ++l) {
      const float factor = a[static_cast<std::size_t>(i * p.k + l)];
      const float* row = b.data() + l * p.n;
      for (std::int64_t j = 0; j < p.n; ++j) sums[static_cast<std::size_t>(j)] += factor * row[j];
    }
    for (std::int64_t j = 0; j < p.n; ++j) finish(p, i, j, sums[static_cast<std::size_t>(j)]);
  }
}

void require_device_memory(const char* name, const void* data, DType dtype, std::int64_t rows,
                           std::int64_t columns, std::int64_t stride) {
  const auto bytes = static_cast<std::size_t>(((rows - 1) * stride + columns) * dtype_bytes(dtype));
  if (!simt::device_region().holds(data, bytes)) {
    throw DeviceError("matmul: " + std::string(name) + ": " + std::to_string(bytes) +
                      " bytes do not lie in one piece of device memory");
  }
}

void require_operands(const Product& p) {
  const auto operand = [&](const char* name, const Product::Operand& x, std::int64_t rows,
                           std::int64_t columns) {
    if (x.transposed) std::swap(rows, columns);
    require_device_memory(name, x.data, p.dtype, rows, columns, x.stride);
  };
  operand("a", p.a, p.m, p.k);
  operand("b", p.b, p.k, p.n);
  require_device_memory("out", p.out, p.out_dtype, p.m, p.n, p.row_of_out());
  if (p.bias) require_device_memory("bias", p.bias, p.out_dtype, 1, p.n, p.n);
  if (p.pre_gelu) require_device_memory("pre_gelu", p.pre_gelu, p.out_dtype, p.m, p.n, p.n);
}

class HostMatmul final : public Matmul {
 public:
  explicit HostMatmul(bool tf32) : tf32_(tf32) {}
  void run(Stream& stream, const Product& product) override {
    record(stream, product, tf32_);
    if (stream.dry()) return;
    require_operands(product);
    const cudaError_t status = simt::call_on(stream.get(), [&] {
      simt::submit(stream.get(), [product] { multiply(product); });
      return cudaSuccess;
    });
    check(status, "matmul");
  }

 private:
  const bool tf32_;  // for the ledger; nothing is rounded here
};

}  // namespace

std::unique_ptr<Matmul> make_matmul(const CudaOptions& options, bool /*dry*/) {
  return std::make_unique<HostMatmul>(options.tf32);
}

}  // namespace zhgpt::cuda
