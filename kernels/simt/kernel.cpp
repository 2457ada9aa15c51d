#include "simt/kernel.h"

#include <cstdint>
#include <deque>
#include <numeric>

#include "simt/collectives.h"
#include "simt/memory.h"
#include "simt/race.h"
#include "simt/settings.h"

namespace zhgpt::simt {
namespace {

std::string run_block(const Kernel& kernel, std::uint64_t number) {
  const uint3 index{static_cast<unsigned>(number % kernel.grid.x),
                    static_cast<unsigned>(number / kernel.grid.x % kernel.grid.y),
                    static_cast<unsigned>(number / kernel.grid.x / kernel.grid.y)};
  block().begin(kernel, index);
  reset_collectives();
  reset_shared_memory();
  race::begin_block();
  return block().run();
}

}  // namespace

std::string execute(const Kernel& kernel) {
  race::begin_kernel();
  std::deque<std::uint64_t> waiting(std::uint64_t{kernel.grid.x} * kernel.grid.y * kernel.grid.z);
  std::iota(waiting.begin(), waiting.end(), std::uint64_t{0});
  while (!waiting.empty()) {
    const auto chosen = waiting.begin() + static_cast<std::ptrdiff_t>(choose(waiting.size()));
    const std::uint64_t number = *chosen;
    waiting.erase(chosen);
    if (std::string fault = run_block(kernel, number); !fault.empty()) return fault;
  }
  return "";
}

}  // namespace zhgpt::simt
