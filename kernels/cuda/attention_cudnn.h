// Attention in bf16 by cuDNN's fused kernels, for whoever prefers them to our own. A build has them when
// CMake found cudnn-frontend (attention_cudnn.cpp, or else attention_no_cudnn.cpp); the library itself is
// loaded when somebody asks for it.
#pragma once

#include <memory>

#include "cuda/context.h"
#include "zhgpt/ops.h"

namespace zhgpt::cuda {

class CudnnAttention {
 public:
  virtual ~CudnnAttention() = default;
  // The operations of ops.h, in bf16, for operands at multiples of 16 bytes. Throw ConfigError when the head
  // size is no multiple of 8 or above 128, DeviceError when the library refuses. The first call with a shape
  // makes a plan and must not be captured; later calls with it take no memory and do not wait.
  virtual void run(Context& context, const AttentionForward& op) = 0;
  virtual void run(Context& context, const AttentionBackward& op) = 0;
};

// deterministic: backward without atomics, which cuDNN is slower in. Throws ConfigError when this build has
// no cuDNN, DeviceError when the library is missing or refuses to start.
std::unique_ptr<CudnnAttention> make_cudnn_attention(bool deterministic);

}  // namespace zhgpt::cuda
