// Memory of the host that a device copies from and to without anybody waiting.
#pragma once

#include <cstddef>
#include <memory>

namespace zhgpt::cuda {

struct FreePageLocked {
  void operator()(void* memory) const noexcept;
};
using PageLocked = std::unique_ptr<void, FreePageLocked>;

PageLocked page_locked(std::size_t bytes);  // throws DeviceError

}  // namespace zhgpt::cuda
