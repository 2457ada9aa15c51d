// CpuBackend: memory, and the choice of float or double for each operation.
#include "cpu/cpu_backend.h"

#include <cstdlib>
#include <cstring>

#include "cpu/ops.h"
#include "zhgpt/error.h"

namespace zhgpt {
namespace {

// What says in which type an operation computes; the operations without real operands have nothing to choose.
template <class Op>
DType real_dtype(const Op& op) {
  if constexpr (requires { op.grads; })
    return op.grads.dtype;
  else if constexpr (requires {
                       op.losses;
                       op.inp;
                     })
    return op.inp.dtype;
  else if constexpr (requires { op.losses; })
    return op.losses.dtype;
  else if constexpr (requires { op.dout; })
    return op.dout.dtype;
  else if constexpr (requires { op.out; })
    return op.out.dtype;
  else
    return DType::f32;
}

template <class Op>
void dispatch(cpu::Context& context, const Op& op) {
  const DType dtype = real_dtype(op);
  if constexpr (requires { op.working; }) {
    if (op.working) throw ConfigError("AdamW: working: got a tensor, expected none on the CPU");
  }
  if (dtype == DType::bf16) throw ConfigError("the CPU backend computes in f32 and f64, not in bf16");
  if (dtype == DType::f64) {
    cpu::execute<double>(context, op);
  } else {
    cpu::execute<float>(context, op);
  }
}

}  // namespace

CpuBackend::CpuBackend(int threads) : context_(threads) {}

std::string CpuBackend::name() const {
  const int threads = context_.pool.threads();
  return "cpu, " + std::to_string(threads) + (threads == 1 ? " thread" : " threads");
}

void CpuBackend::upload(void* device, const void* host, std::int64_t bytes) {
  std::memcpy(device, host, static_cast<std::size_t>(bytes));
}

void CpuBackend::download(void* host, const void* device, std::int64_t bytes) {
  std::memcpy(host, device, static_cast<std::size_t>(bytes));
}

void CpuBackend::copy(void* to_device, const void* from_device, std::int64_t bytes) {
  std::memcpy(to_device, from_device, static_cast<std::size_t>(bytes));
}

void CpuBackend::zero(void* device, std::int64_t bytes) {
  std::memset(device, 0, static_cast<std::size_t>(bytes));
}

void* CpuBackend::allocate_bytes(std::int64_t bytes) {
  const auto size = static_cast<std::size_t>(bytes);
  void* data = cpu::allocate_aligned(size);
  if (data) std::memset(data, 0, size);
  return data;
}

void CpuBackend::free_bytes(void* data) noexcept {
  std::free(data);
}

#define ZHGPT_EXECUTE(Op)                  \
  void CpuBackend::execute(const Op& op) { \
    dispatch(context_, op);                \
  }
ZHGPT_FOR_EACH_OP(ZHGPT_EXECUTE)
#undef ZHGPT_EXECUTE

std::unique_ptr<Backend> make_cpu_backend(int threads) {
  return std::make_unique<CpuBackend>(threads);
}

}  // namespace zhgpt
