// How often this program has taken memory by operator new so far, for `zhgpt bench`.
#pragma once

#include <cstdint>

namespace zhgpt::cli {

// Counts from the first call on. Always 0 where a sanitizer or a test has an operator new of its own.
std::int64_t allocations();

}  // namespace zhgpt::cli
