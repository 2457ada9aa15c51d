// Memory handed out by operator new in this test program: now, and at most since the last reset.
#pragma once

#include <cstdint>

namespace zhgpt::test {
void reset_peak_memory();
std::int64_t peak_memory();
std::int64_t live_memory();
}  // namespace zhgpt::test
