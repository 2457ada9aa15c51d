#include "cpu/host_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>

namespace zhgpt {
namespace {

constexpr std::int64_t kUnknown = std::numeric_limits<std::int64_t>::max();

// The sum of the entries with these names in a file of lines "name value"; kUnknown when there is none.
std::int64_t entries(const char* path, std::initializer_list<const char*> names) {
  std::ifstream file(path);
  std::int64_t sum = 0;
  bool found = false;
  std::string line, name;
  for (std::int64_t value; file >> name >> value; std::getline(file, line)) {
    if (std::find(names.begin(), names.end(), name) == names.end()) continue;
    sum += value;
    found = true;
  }
  return found ? sum : kUnknown;
}

std::int64_t number(const char* path) {
  std::int64_t value = 0;
  return std::ifstream(path) >> value ? value : kUnknown;
}

// Inside a container the process's own control group is seen at the mount's root. Files that were read and
// are still cached count as used, but give way.
std::int64_t left_by_group(const char* limit_file, const char* used_file, const char* statistics,
                           const char* cached) {
  const std::int64_t limit = number(limit_file), used = number(used_file),
                     gives_way = entries(statistics, {cached});
  if (limit == kUnknown || used == kUnknown) return kUnknown;
  return std::max<std::int64_t>(0, limit - used + (gives_way == kUnknown ? 0 : gives_way));
}

}  // namespace

void ReleaseHostMemory::operator()(void* data) const noexcept {
  if (mapped_bytes > 0) {
    munmap(data, mapped_bytes);
  } else {
    std::free(data);
  }
}

HostMemory take_host_memory(std::size_t bytes) {
  constexpr std::size_t kAlign = 256, kHugePage = std::size_t{2} << 20, kWorthAsking = std::size_t{16} << 20;
  if (bytes >= kWorthAsking && bytes > static_cast<std::size_t>(free_host_memory_bytes())) return nullptr;
  const bool large = bytes >= 2 * kHugePage;
  const std::size_t align = large ? kHugePage : kAlign, rounded = (bytes + align - 1) / align * align;
  void* data = std::aligned_alloc(align, rounded);
  if (data && large) madvise(data, rounded, MADV_HUGEPAGE);  // advice only
  return HostMemory(data);
}

HostMemory take_addresses(std::size_t bytes) {
  void* data =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return data == MAP_FAILED ? nullptr : HostMemory(data, {.mapped_bytes = bytes});
}

std::int64_t free_host_memory_bytes() {
  const std::int64_t kib = entries("/proc/meminfo", {"MemAvailable:", "SwapFree:"});
  return std::min({kib == kUnknown ? kUnknown : kib * 1024,
                   left_by_group("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current",
                                 "/sys/fs/cgroup/memory.stat", "inactive_file"),
                   left_by_group("/sys/fs/cgroup/memory/memory.limit_in_bytes",
                                 "/sys/fs/cgroup/memory/memory.usage_in_bytes",
                                 "/sys/fs/cgroup/memory/memory.stat", "total_inactive_file")});
}

}  // namespace zhgpt
