// The epilogues of a product as kernels of their own, over its result (m, n):
//   bias       out += bias (n), in place
//   bias_gelu  pre_gelu += bias (n), in place when there is a bias; out = gelu(pre_gelu)
//   dgelu      out *= gelu'(pre_gelu), in place
// Element by element, so the bits depend on nothing else.
#include "cuda/bias_gelu.h"

#include <algorithm>

#include "cuda/gelu.cuh"
#include "cuda/launch.cuh"
#include "cuda/packs.cuh"

namespace zhgpt::cuda {
namespace {

using Epilogue = Product::Epilogue;

constexpr int kThreads = 256;
constexpr std::int64_t kMostBlocks = 1024;  // eight on each of about 130 SMs: one wave

// Thread: every so manyth kWidth elements of out (m, n), in the order of memory.
template <class T, Epilogue kEpilogue, int kWidth>
__global__ void __launch_bounds__(kThreads)
    epilogue_kernel(T* out, T* pre_gelu, const T* bias, std::int64_t elements, std::int64_t n) {
  const std::int64_t threads = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = (static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kWidth;
       i < elements; i += threads * kWidth) {
    auto x = load_pack<kWidth>(kEpilogue == Epilogue::bias ? out + i : pre_gelu + i);
    if constexpr (kEpilogue != Epilogue::dgelu) {
      if (bias) {
        const auto b = load_pack<kWidth>(bias + i % n);
#pragma unroll
        for (int j = 0; j < kWidth; ++j) x[j] = from_float<T>(to_float(x[j]) + to_float(b[j]));
        store_pack(kEpilogue == Epilogue::bias ? out + i : pre_gelu + i, x);
      }
    }
    if constexpr (kEpilogue == Epilogue::bias_gelu) {
#pragma unroll
      for (int j = 0; j < kWidth; ++j) x[j] = from_float<T>(gelu(to_float(x[j])));
      store_pack(out + i, x);
    } else if constexpr (kEpilogue == Epilogue::dgelu) {
      auto gradient = load_pack<kWidth>(out + i);
#pragma unroll
      for (int j = 0; j < kWidth; ++j) {
        gradient[j] = from_float<T>(to_float(gradient[j]) * gelu_derivative(to_float(x[j])));
      }
      store_pack(out + i, gradient);
    }
  }
}

bool aligned(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0;
}

template <class T, Epilogue kEpilogue>
void apply(Stream& stream, const Product& product) {
  constexpr int kWidth = Pack128<T>::kSize;
  auto *out = static_cast<T*>(product.out), *pre_gelu = static_cast<T*>(product.pre_gelu);
  const auto* bias = static_cast<const T*>(product.bias);
  const std::int64_t elements = product.m * product.n;
  const bool vectors = product.n % kWidth == 0 && aligned(out) && aligned(pre_gelu) && aligned(bias);
  const std::int64_t each = kThreads * (vectors ? kWidth : 1);
  const LaunchShape shape{
      static_cast<unsigned>(std::clamp<std::int64_t>((elements + each - 1) / each, 1, kMostBlocks)),
      kThreads};
  const double moved = kEpilogue == Epilogue::bias || (kEpilogue == Epilogue::bias_gelu && !bias) ? 2 : 3;
  const double count = static_cast<double>(elements);
  const Cost cost{.flops = (kEpilogue == Epilogue::bias ? 1 : 10) * count,
                  .bytes = moved * count * sizeof(T)};
  if (vectors) {
    ZHGPT_LAUNCH(stream, cost, shape, (epilogue_kernel<T, kEpilogue, kWidth>), out, pre_gelu, bias, elements,
                 product.n);
  } else {
    ZHGPT_LAUNCH(stream, cost, shape, (epilogue_kernel<T, kEpilogue, 1>), out, pre_gelu, bias, elements,
                 product.n);
  }
}

template <class T>
void apply(Stream& stream, const Product& product) {
  switch (product.epilogue) {
    case Epilogue::none:
      break;
    case Epilogue::bias:
      apply<T, Epilogue::bias>(stream, product);
      break;
    case Epilogue::bias_gelu:
      apply<T, Epilogue::bias_gelu>(stream, product);
      break;
    case Epilogue::dgelu:
      apply<T, Epilogue::dgelu>(stream, product);
      break;
  }
}

}  // namespace

void apply_epilogue(Stream& stream, const Product& product) {
  if (product.out_dtype == DType::bf16) {
    apply<bf16>(stream, product);
  } else {
    apply<float>(stream, product);
  }
}

}  // namespace zhgpt::cuda
