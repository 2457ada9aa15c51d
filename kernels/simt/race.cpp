#include "simt/race.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "simt/block.h"
#include "simt/device_fault.h"
#include "simt/region.h"

namespace zhgpt::simt::race {

bool enabled = false;

namespace {

constexpr std::size_t kGrain = 2;  // bytes of a cell: bf16 is the smallest thing that kernels share

// An access that was: `thread` of the era's block, at that thread's clock. Eras count on over blocks and
// kernels, so that an old one is told from its number; 0 is never.
struct Event {
  std::uint32_t era = 0;
  std::uint32_t pc = 0;  // offset from the program's start
  std::uint16_t thread = 0;
  std::uint16_t clock = 0;
};
struct Cell {
  Event write;
  Event reads[2];
  bool atomic = false;  // the last write was
};
enum Flag : std::uint8_t { kAllocated = 1, kFreed = 2, kInitialised = 4, kInFlight = 8 };

template <class T>
T* reserve(std::size_t count) {
  void* memory = mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return static_cast<T*>(memory);
}

struct Shadow {
  explicit Shadow(const Region& of)
      : region(of),
        cells(reserve<Cell>(of.reserved_bytes() / kGrain)),
        flags(reserve<std::uint8_t>(of.reserved_bytes() / kGrain)) {}
  const Region& region;
  Cell* cells;
  std::uint8_t* flags;

  std::size_t grain_of(const void* address) const {
    return static_cast<std::size_t>(static_cast<const char*>(address) - region.base()) / kGrain;
  }
};

Shadow* shadow_of(const void* address) {
  static Shadow shared(shared_region()), device(device_region());
  if (shared.region.contains(address)) return &shared;
  return device.region.contains(address) ? &device : nullptr;
}

void set_flags(const void* address, std::size_t bytes, std::uint8_t set, std::uint8_t cleared) {
  Shadow* shadow = shadow_of(address);
  if (!shadow || bytes == 0) return;
  const std::size_t end = shadow->grain_of(static_cast<const char*>(address) + bytes - 1);
  for (std::size_t grain = shadow->grain_of(address); grain <= end; ++grain) {
    shadow->flags[grain] = static_cast<std::uint8_t>((shadow->flags[grain] & ~cleared) | set);
  }
}

// ---- order ------------------------------------------------------------------------------------------------

std::uint32_t era = 0, first_era_of_block = 1, first_era_of_kernel = 1;
// seen[t * size + u]: the clock up to which thread t knows what thread u did in this era. A thread's own
// clock starts at 1 and moves when it gives others news.
std::vector<std::uint16_t> seen;
bool seen_is_fresh = false;
std::vector<std::pair<std::uint32_t, uint3>> blocks;  // first era and index of the kernel's blocks so far

void begin_era() {
  ++era;
  const std::size_t size = block().size();
  if (seen_is_fresh && seen.size() == size * size) return;
  seen.assign(size * size, 0);
  for (std::size_t thread = 0; thread < size; ++thread) seen[thread * size + thread] = 1;
  seen_is_fresh = true;
}

bool ordered_before(const Event& event, bool is_shared_memory) {
  if (event.era == era) {
    return event.thread == current->number ||
           seen[current->number * block().size() + event.thread] >= event.clock;
  }
  return event.era >= first_era_of_block || event.era < first_era_of_kernel || is_shared_memory;
}

// ---- reports ----------------------------------------------------------------------------------------------

std::uint32_t offset_of(const void* pc) {
  return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(pc) -
                                    reinterpret_cast<std::uintptr_t>(&enabled));
}
std::string source_of(std::uint32_t offset) {
  const auto distance = static_cast<std::int32_t>(offset);
  const std::string text = simt::source_of(reinterpret_cast<const char*>(&enabled) + distance);
  return text.empty() ? "an unknown line" : text;
}

const char* describe(const Event& event) {
  uint3 index = block().index();
  for (const auto& [first_era, its_index] : blocks) {
    if (first_era <= event.era) index = its_index;
  }
  return keep(simt::describe("block", index) + " thread " + std::to_string(event.thread) + " at " +
              source_of(event.pc));
}

[[noreturn]] void report(const char* what, const Shadow& shadow, const void* address, const void* pc,
                         const Event* other) {
  const char* where = shadow.region.describe(address);
  if (other) block().fail({{}, pc}, "%s: %s, and %s", what, where, describe(*other));
  block().fail({{}, pc}, "%s: %s", what, where);
}

void require_order(const Event& event, const char* within_block, const char* between_blocks,
                   const Shadow& shadow, const void* address, const void* pc) {
  const bool is_shared = &shadow.region == &shared_region();
  if (event.era == 0 || ordered_before(event, is_shared)) return;
  report(event.era >= first_era_of_block ? within_block : between_blocks, shadow, address, pc, &event);
}

// ---- one access -------------------------------------------------------------------------------------------

// Keeps two readers, of different warps where it can: a later write then meets at least one other thread.
void remember_read(Cell& cell, const Event& event) {
  Event* slot = &cell.reads[0];
  for (Event& read : cell.reads) {
    if (read.era != era || read.thread == event.thread) {
      slot = &read;
      break;
    }
    if (read.thread / 32 == event.thread / 32) slot = &read;
  }
  *slot = event;
}

void check_cell(const Shadow& shadow, std::size_t grain, Access kind, const void* address, const void* pc) {
  std::uint8_t& flags = shadow.flags[grain];
  Cell& cell = shadow.cells[grain];
  if (!(flags & kAllocated)) {
    report(flags & kFreed ? "use after free" : "out of bounds", shadow, address, pc, nullptr);
  }
  if (flags & kInFlight) {
    report("touched before its asynchronous copy was waited for", shadow, address, pc, &cell.write);
  }
  if (kind != Access::write && !(flags & kInitialised)) {
    report("read before anything was written", shadow, address, pc, nullptr);
  }

  const bool both_atomic = kind == Access::atomic && cell.atomic;
  if (kind == Access::read) {
    require_order(cell.write, "race, read after write", "race between blocks, read after write", shadow,
                  address, pc);
  } else if (!both_atomic) {
    require_order(cell.write, "race, write after write", "race between blocks, write after write", shadow,
                  address, pc);
  }
  const auto thread = static_cast<std::uint16_t>(current->number);
  const Event event{era, offset_of(pc), thread, seen[current->number * block().size() + thread]};
  if (kind == Access::read) {
    remember_read(cell, event);
    return;
  }
  for (const Event& read : cell.reads) {
    require_order(read, "race, write after read", "race between blocks, write after read", shadow, address,
                  pc);
  }
  flags |= kInitialised;
  cell.write = event;
  cell.atomic = kind == Access::atomic;
}

}  // namespace

void unused(const void* address, std::size_t bytes) {
  if (enabled) set_flags(address, bytes, 0, 0xff);
}
void allocated(const void* address, std::size_t bytes) {
  if (enabled) set_flags(address, bytes, kAllocated, 0xff);
}
void freed(const void* address, std::size_t bytes) {
  if (enabled) set_flags(address, bytes, kFreed, 0xff);
}
void initialised(const void* address, std::size_t bytes) {
  if (enabled) set_flags(address, bytes, kInitialised, 0);
}

void begin_kernel() {
  if (!enabled) return;
  first_era_of_kernel = era + 1;
  blocks.clear();
}
void begin_block() {
  if (!enabled) return;
  begin_era();
  first_era_of_block = era;
  blocks.emplace_back(era, block().index());
}
void barrier() {
  if (enabled) begin_era();
}
void barrier(std::span<const unsigned> threads) {
  if (!enabled) return;
  const std::size_t size = block().size();
  std::vector<std::uint16_t> joined(size, 0);
  for (const unsigned thread : threads) {
    const std::uint16_t* known = &seen[thread * size];
    for (std::size_t other = 0; other < size; ++other) joined[other] = std::max(joined[other], known[other]);
  }
  for (const unsigned thread : threads) {
    std::copy(joined.begin(), joined.end(), seen.begin() + static_cast<std::ptrdiff_t>(thread * size));
    ++seen[thread * size + thread];
  }
  seen_is_fresh = false;
}

void access(const void* address, std::size_t bytes, Access kind, const void* pc) {
  if (!enabled) return;
  const Shadow* shadow = shadow_of(address);
  if (!shadow || bytes == 0) return;
  if (!current) {
    set_device_fault(std::string("host code touches ") + shadow->region.describe(address) + ", at " +
                     simt::source_of(pc));
    return;
  }
  const std::size_t first = shadow->grain_of(address);
  const std::size_t last = shadow->grain_of(static_cast<const char*>(address) + bytes - 1);
  for (std::size_t grain = first; grain <= last; ++grain) {
    const char* at =
        grain == first ? static_cast<const char*>(address) : shadow->region.base() + grain * kGrain;
    check_cell(*shadow, grain, kind, at, pc);
  }
}

void copy_issued(const void* address, std::size_t bytes) {
  if (enabled) set_flags(address, bytes, kInFlight, 0);
}
void copy_landed(const void* address, std::size_t bytes) {
  if (enabled) set_flags(address, bytes, 0, kInFlight);
}

}  // namespace zhgpt::simt::race
