// Memory handed out by operator new in this test program: now, and at most since the last reset; and what
// happens when there is none.
#pragma once

#include <cstdint>

namespace zhgpt::test {
void reset_peak_memory();
std::int64_t peak_memory();
std::int64_t live_memory();

// While it lives, the `at`-th call of operator new throws std::bad_alloc, from 1, and with `for_ever` all
// later ones.
class AllocationFault {
 public:
  AllocationFault(std::int64_t at, bool for_ever);
  AllocationFault(const AllocationFault&) = delete;
  AllocationFault& operator=(const AllocationFault&) = delete;
  ~AllocationFault();
  bool happened() const;
};
}  // namespace zhgpt::test
