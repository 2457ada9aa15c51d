#include "simt/collectives.h"

#include <algorithm>
#include <cstring>

#include "simt/race.h"
#include "simt/settings.h"

namespace zhgpt::simt {
namespace {

constexpr unsigned kBarriers = 16;  // hardware's, of a block

struct Barrier {
  unsigned expected = 0;
  unsigned votes = 0;
  Site site;                      // the first to arrive
  std::vector<unsigned> arrived;  // thread numbers
};
struct WarpOperation {
  unsigned mask = 0, arrived = 0;  // mask 0: free
  WarpWork work = nullptr;
  const char* name = "";
  Site site;
  Lanes lanes{};
};

std::array<Barrier, kBarriers> barriers;
std::vector<std::vector<WarpOperation>> operations;  // of each warp, those that wait for lanes

// The last to arrive need not be the first to go on.
void released() {
  if (choose(2) == 1) block().yield();
}

void check_mask(unsigned mask, const char* name, const Site& site) {
  const unsigned lanes = std::min(32u, block().size() - current->warp() * 32);
  const unsigned existing = lanes == 32 ? ~0u : (1u << lanes) - 1;
  if (!(mask >> current->lane() & 1)) {
    block().fail(site, "%s: lane %u is not in its own mask %08x", name, current->lane(), mask);
  }
  if (mask & ~existing) {
    block().fail(site, "%s: mask %08x names lanes that the block does not have", name, mask);
  }
}

// The waiting operation that this lane enters, or a new one.
WarpOperation& enter_operation(unsigned mask, WarpWork work, const char* name, const Site& site) {
  auto& waiting = operations[current->warp()];
  const auto same = [&](const WarpOperation& other) {
    return other.mask == mask && other.work == work && other.site == site;
  };
  auto found = std::find_if(waiting.begin(), waiting.end(), same);
  if (found == waiting.end()) {
    found = std::find_if(waiting.begin(), waiting.end(), [](const auto& other) { return other.mask == 0; });
    if (found == waiting.end()) found = waiting.insert(found, WarpOperation{});
    *found = {mask, 0, work, name, site, {}};
  }
  found->arrived |= 1u << current->lane();
  // Parts of a warp may be at different places, but not when each waits for a lane of the other.
  for (const WarpOperation& other : waiting) {
    if (&other != &*found && (other.arrived & mask) && (other.mask & found->arrived)) {
      block().fail(site, "%s with mask %08x meets %s with mask %08x at %s, which waits for the same lanes",
                   name, mask, other.name, other.mask, other.site.text());
    }
  }
  return *found;
}

struct ShuffleOperand {
  unsigned source;
  const void* value;
  void* result;
  std::size_t bytes;
};
void shuffle_lanes(const Lanes& lanes) {
  for (void* lane : lanes) {
    if (!lane) continue;
    const auto& to = *static_cast<ShuffleOperand*>(lane);
    std::memcpy(to.result, static_cast<ShuffleOperand*>(lanes[to.source])->value, to.bytes);
  }
}

struct BallotOperand {
  bool vote;
  unsigned result;
};
void ballot_lanes(const Lanes& lanes) {
  unsigned result = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (lanes[lane] && static_cast<BallotOperand*>(lanes[lane])->vote) result |= 1u << lane;
  }
  for (void* lane : lanes) {
    if (lane) static_cast<BallotOperand*>(lane)->result = result;
  }
}

void order_memory(const Lanes& lanes) {
  std::vector<unsigned> threads;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (lanes[lane]) threads.push_back(current->warp() * 32 + lane);
  }
  race::barrier(threads);
}

}  // namespace

void reset_collectives() {
  for (Barrier& b : barriers) b.arrived.clear();
  operations.assign((block().size() + 31) / 32, {});
}

unsigned barrier(unsigned id, unsigned threads, bool vote, const char* name, Where where) {
  const Site site{where, __builtin_return_address(0)};
  if (id >= kBarriers) block().fail(site, "%s: barrier %u, but a block has %u", name, id, kBarriers);
  if (id > 0 && threads % 32 != 0) block().fail(site, "%s for %u threads, not whole warps", name, threads);
  Barrier& b = barriers[id];
  if (b.arrived.empty()) {
    b.expected = threads;
    b.votes = 0;
    b.site = site;
  } else if (b.expected != threads) {
    block().fail(site, "%s: barrier %u for %u threads, and for %u at %s", name, id, threads, b.expected,
                 b.site.text());
  } else if (id == 0 && !(b.site == site)) {
    block().fail(site, "divergent %s: others wait at %s", name, b.site.text());
  }
  b.votes += vote;
  b.arrived.push_back(current->number);
  if (b.arrived.size() < threads) {
    block().wait(name, site);
    return current->votes;
  }
  const unsigned votes = b.votes;
  threads == block().size() ? race::barrier() : race::barrier(b.arrived);
  for (const unsigned thread : b.arrived) {
    block().thread(thread).votes = votes;
    if (thread != current->number) block().wake(thread);
  }
  b.arrived.clear();
  released();
  return votes;
}

void warp_operation(unsigned mask, void* operand, WarpWork work, const char* name, const Site& site) {
  check_mask(mask, name, site);
  WarpOperation& operation = enter_operation(mask, work, name, site);
  operation.lanes[current->lane()] = operand;
  if (operation.arrived != mask) {
    block().wait(name, site);
    return;
  }
  operation.mask = operation.arrived = 0;
  work(operation.lanes);
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1) && lane != current->lane()) block().wake(current->warp() * 32 + lane);
  }
  released();
}

void shuffle(unsigned mask, unsigned source, const void* value, void* result, std::size_t bytes,
             const char* name, Where where) {
  const Site site{where, __builtin_return_address(0)};
  if (!(mask >> source & 1)) {
    block().fail(site, "%s: reads lane %u, which is not in the mask %08x", name, source, mask);
  }
  ShuffleOperand operand{source, value, result, bytes};
  warp_operation(mask, &operand, shuffle_lanes, name, site);
}

unsigned ballot(unsigned mask, bool vote, const char* name, Where where) {
  BallotOperand operand{vote, 0};
  warp_operation(mask, &operand, ballot_lanes, name, {where, __builtin_return_address(0)});
  return operand.result;
}

void warp_barrier(unsigned mask, Where where) {
  char nothing;  // an operand says that its lane takes part
  warp_operation(mask, &nothing, order_memory, "__syncwarp", {where, __builtin_return_address(0)});
}

}  // namespace zhgpt::simt
