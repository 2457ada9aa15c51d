// Launching a kernel: the only way to. It does what <<<>>> does, as a call whose status is this launch's own.
//
//   ZHGPT_LAUNCH(stream, (Cost{.flops = n}), (LaunchShape{blocks, 256}), add_kernel, out, a, b, n);
//   ZHGPT_LAUNCH(stream, cost, shape, (gather_kernel<float, 4>), out, tokens, n);
#pragma once

#include <concepts>
#include <string>
#include <type_traits>
#include <utility>

#include "cuda/device.cuh"
#include "cuda/launch.h"
#include "cuda/stream.h"
#include "zhgpt/error.h"

#ifdef ZHGPT_SIMT
#include "simt/launch.h"
#endif

namespace zhgpt::cuda {

namespace detail {

// The argument as the kernel's parameter. An integer that does not fit is an error, not another integer.
template <class P, class A>
P to_parameter(const char* name, const A& argument) {
  if constexpr (std::integral<P> && std::integral<A> && !std::same_as<P, A>) {
    if (!std::in_range<P>(argument)) {
      throw DeviceError(std::string(name) + ": argument " + std::to_string(argument) +
                        " does not fit its parameter");
    }
  }
  return static_cast<P>(argument);
}

}  // namespace detail

// Writes the launch into the stream's ledger, and unless the stream is dry puts `kernel` on it. Arguments are
// converted to the kernel's parameters. Throws DeviceError naming the kernel when CUDA refuses the launch;
// what fails while the kernel runs is thrown by whoever waits for it. `name` is kept: a literal.
template <class... P, class... A>
void launch(Stream& stream, const char* name, Cost cost, LaunchShape shape, void (*kernel)(P...),
            A&&... arguments) {
  static_assert(sizeof...(P) == sizeof...(A), "one argument for each parameter");
  if (stream.ledger) stream.ledger->add({name, cost, shape});
  if (stream.dry()) return;
  detail::allow_shared_bytes(reinterpret_cast<const void*>(kernel), name, shape);
#ifdef ZHGPT_SIMT
  const cudaError_t status =
      simt::launch<P...>(stream.get(), name, shape.grid, shape.block, shape.shared_bytes, kernel,
                         detail::to_parameter<P>(name, arguments)...);
#else
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream.get();
  const cudaError_t status = cudaLaunchKernelEx(&config, kernel, detail::to_parameter<P>(name, arguments)...);
#endif
  if (status != cudaSuccess) detail::throw_launch_error(status, name, shape);
}

// The same, named as the kernel is written. Template arguments with commas need parentheses around it.
#define ZHGPT_LAUNCH(stream, cost, shape, kernel, ...) \
  ::zhgpt::cuda::launch(stream, #kernel, cost, shape, kernel __VA_OPT__(, ) __VA_ARGS__)

}  // namespace zhgpt::cuda
