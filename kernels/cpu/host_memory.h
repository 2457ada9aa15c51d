// Host memory: taken in large blocks, and how much there still is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace zhgpt {

struct ReleaseHostMemory {
  std::size_t mapped_bytes = 0;  // 0: to be released by std::free
  void operator()(void* data) const noexcept;
};
using HostMemory = std::unique_ptr<void, ReleaseHostMemory>;

// Aligned to 256 bytes, or large blocks to huge pages, which are asked for: the products walk over many rows
// at once, each on a page of its own. Without initial contents, released by std::free; nullptr when there is
// no room. Linux grants more than there is, and when it is touched ends some process without a word: so what
// free_host_memory_bytes does not cover is refused.
HostMemory take_host_memory(std::size_t bytes);

// Addresses, with no memory behind them until somebody writes there. nullptr when not even these are left.
HostMemory take_addresses(std::size_t bytes);

// Without others being ended for it: what the kernel thinks it can make free, and what the control group
// leaves, if that is less. The largest number when neither can be told.
std::int64_t free_host_memory_bytes();

}  // namespace zhgpt
