// Kernels that break promises, each in one way, and one that keeps them.
#include "cuda/device.cuh"

namespace zhgpt::cuda {

template <int kSize>
__global__ void right_kernel(float* out, const float* in) {
  store128(out + threadIdx.x * kSize, load128(in + threadIdx.x * kSize));
}

template <int kSize>
__global__ void narrow_kernel(float* out, const float* in) {
  for (int k = 0; k < kSize; ++k) out[threadIdx.x * kSize + k] = in[threadIdx.x * kSize + k];
}

template <int kSize>
__global__ void split_kernel(float* out, const float* in) {
  store128(out + threadIdx.x * kSize, load128(in + threadIdx.x * kSize));
  out += 1024;
  auto* halves = reinterpret_cast<float2*>(out + threadIdx.x * kSize);
  halves[0] = {in[0], in[1]};
  halves[1] = {in[2], in[3]};
}

template <int kSize>
__global__ void no_matrix_kernel(float* out, const float* in) {
  out[threadIdx.x] += kSize * in[threadIdx.x];
}

template <int kSize>
__global__ void indexed_kernel(float* out, const float* in, const int* where) {
  float values[16 * kSize];
  for (int k = 0; k < 16 * kSize; ++k) values[where[k]] = in[k];
  for (int k = 0; k < 16 * kSize; ++k) out[k] = values[where[k + 1]];
}

template __global__ void right_kernel<4>(float*, const float*);
template __global__ void narrow_kernel<4>(float*, const float*);
template __global__ void split_kernel<4>(float*, const float*);
template __global__ void no_matrix_kernel<4>(float*, const float*);
template __global__ void indexed_kernel<4>(float*, const float*, const int*);

}  // namespace zhgpt::cuda
