// StateCopy: parameters and both moments as they were after one step, in memory of the host that was taken
// once, so that they can be written while training goes on.
//
// On a CUDA device the copies are ordered among the steps: the next step waits on the device until they have
// left, the host waits for nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "zhgpt/backend.h"

namespace zhgpt {

class StateCopy {
 public:
  static constexpr std::size_t kArrays = 3;

  // The arrays stay where they are. Takes as much memory of the host as they have. Throws DeviceError.
  StateCopy(Backend& backend, const std::array<Tensor, kArrays>& arrays);

  // Copies what the arrays hold after all that was run before. Overwrites the copy before: nobody may read
  // it.
  void take();
  // Whether the copy has arrived; with `wait` it waits for that. Throws DeviceError.
  bool is_ready(bool wait);
  // Any thread may. REQUIRES: is_ready said so since the last `take`.
  void read(std::size_t array, std::int64_t offset, std::span<std::byte> to) const;

 private:
  struct Array {
    const void* device = nullptr;
    std::unique_ptr<Readback> readback;
    const std::byte* host = nullptr;  // once it has arrived
  };
  std::array<Array, kArrays> arrays_;
};

}  // namespace zhgpt
