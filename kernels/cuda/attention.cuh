// What the attention kernels share: where a head lies in memory, what a pass costs, and the plain kernels,
// which take any head size up to kWidestHead and any address.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>

#include "cuda/launch.cuh"
#include "cuda/ops.h"
#include "zhgpt/error.h"

namespace zhgpt::cuda {

constexpr float kLog2E = 1.44269504f;

// The heads of (B, T, NH, HS) and (B, T, 3, NH, HS), numbered b NH + h. Rows of a head are counted in int (a
// tensor of 2^31 positions fits no device), offsets of elements in std::int64_t.
struct Heads {
  int B, T, NH, HS;
  explicit Heads(const Tensor& out) : B(size(out, 0)), T(size(out, 1)), NH(size(out, 2)), HS(size(out, 3)) {}

  __host__ __device__ std::int64_t count() const { return std::int64_t{B} * NH; }
  __host__ __device__ std::int64_t channels() const { return std::int64_t{NH} * HS; }
  // Elements from a row to the next, and offset of the first row of a head; q, k, v lie channels() apart.
  __host__ __device__ std::int64_t out_stride() const { return channels(); }
  __host__ __device__ std::int64_t qkv_stride() const { return 3 * channels(); }
  __device__ std::int64_t in_out(int head) const { return head / NH * (T * out_stride()) + head % NH * HS; }
  __device__ std::int64_t in_qkv(int head) const { return head / NH * (T * qkv_stride()) + head % NH * HS; }
  __device__ std::int64_t in_lse(int head, int t) const { return std::int64_t{head} * T + t; }
  __host__ __device__ float scale() const { return 1.f / sqrtf(static_cast<float>(HS)); }

  // Of `products` of (T, T) with (T, HS), the hidden half left out, and `rows` reads or writes of (T, HS).
  Cost cost(double products, double rows, std::size_t element_bytes, Arithmetic arithmetic) const {
    const double of_heads = static_cast<double>(count()), t = T, hs = HS;
    return {.flops = of_heads * products * t * (t + 1) * hs,
            .bytes = of_heads * t * (rows * hs * static_cast<double>(element_bytes) + sizeof(float)),
            .arithmetic = arithmetic};
  }

 private:
  static int size(const Tensor& tensor, int axis) {
    return detail::to_parameter<int>("attention", tensor.dim(axis));
  }
};

// Whether 128-bit accesses to all rows of heads are aligned.
template <class T>
bool in_vectors(std::int64_t HS, std::initializer_list<const void*> operands) {
  const auto aligned = [](const void* operand) {
    return reinterpret_cast<std::uintptr_t>(operand) % 16 == 0;
  };
  return HS % Pack128<T>::kSize == 0 && std::all_of(operands.begin(), operands.end(), aligned);
}

constexpr int kWidestHead = 256;
inline void check_head_size(std::int64_t HS) {
  if (HS <= kWidestHead) return;
  throw ConfigError("attention: head size " + std::to_string(HS) + ", the CUDA backend takes at most " +
                    std::to_string(kWidestHead));
}

// Causal attention on ordinary arithmetic, for T = float and bf16; defined in attention_f32.cu.
template <class T>
void attention_forward_plain(Context& context, const AttentionForward& op);
template <class T>
void attention_backward_plain(Context& context, const AttentionBackward& op);

}  // namespace zhgpt::cuda
