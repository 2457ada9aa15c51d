// Launching a kernel on the host runtime: what <<<>>> is to nvcc.
#pragma once

#include "simt/block.h"
#include "simt/stream.h"

namespace zhgpt::simt {

cudaError_t enqueue(cudaStream_t stream, const void* function, Kernel kernel);

template <class... P>
cudaError_t launch(cudaStream_t stream, const char* name, dim3 grid, dim3 block, std::size_t shared_bytes,
                   void (*function)(P...), P... arguments) {
  return enqueue(stream, reinterpret_cast<const void*>(function),
                 {name, grid, block, shared_bytes, [=] { function(arguments...); }});
}

}  // namespace zhgpt::simt
