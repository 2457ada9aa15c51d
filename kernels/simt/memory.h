// What kernels ask of memory: shared arrays, checked accesses, and bytes moved behind the sanitizers' backs.
#pragma once

#include <cstddef>

#include "simt/race.h"
#include "simt/site.h"

namespace zhgpt::simt {

// Shared memory of a block: without asking (all that static arrays can have), and at most. As on sm_90.
constexpr std::size_t kSharedBytes = 48 << 10, kSharedBytesOptIn = 227 << 10;

// The block's static shared array that `tag` names.
void* shared_array(const void* tag, std::size_t bytes, std::size_t align, Where where = Where::current());
// The piece of the block's dynamic shared memory that begins at `offset`: an array of its own here, at a
// multiple of 16.
void* shared_piece(std::size_t offset, std::size_t bytes, Where where = Where::current());
void reset_shared_memory();  // before each block

void require_aligned(const void* address, std::size_t bytes, const char* what,
                     Where where = Where::current());

// An access that the runtime makes for a kernel: aligned, inside a shared array (for `shared`) or anywhere
// that ASan and the race checker allow.
void check_access(const void* address, std::size_t bytes, bool shared, race::Access kind, const char* what,
                  const Site& site);

// What an atomic does before it reads and writes.
void atomic_access(const void* address, std::size_t bytes, const char* name, Where where);

// A copy that the race checker does not see, being made here.
void raw_copy(void* to, const void* from, std::size_t bytes);

}  // namespace zhgpt::simt
