// What a build without cudnn-frontend links in the place of attention_cudnn.cpp.
#include "cuda/attention_cudnn.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt::cuda {

std::unique_ptr<CudnnAttention> make_cudnn_attention(bool) {
  throw ConfigError(tr(Msg::no_cudnn_in_this_build));
}

}  // namespace zhgpt::cuda
