// Barriers, and what the lanes of a warp do together. Whoever arrives last does the work for all.
#pragma once

#include <array>

#include "simt/block.h"

namespace zhgpt::simt {

void reset_collectives();  // before each block

// bar.sync `id` for `threads` threads, a multiple of 32. Returns how many of them voted.
unsigned barrier(unsigned id, unsigned threads, bool vote, const char* name, Where where);

// An operation that the lanes of `mask` enter together, each with its own operand.
using Lanes = std::array<void*, 32>;  // operands; nullptr outside the mask
using WarpWork = void (*)(const Lanes& lanes);
void warp_operation(unsigned mask, void* operand, WarpWork work, const char* name, const Site& site);

// The lanes of `mask` each give `bytes` bytes and get those of lane `source`.
void shuffle(unsigned mask, unsigned source, const void* value, void* result, std::size_t bytes,
             const char* name, Where where);
unsigned ballot(unsigned mask, bool vote, const char* name, Where where);
void warp_barrier(unsigned mask, Where where);  // __syncwarp: the only one of these that orders memory

}  // namespace zhgpt::simt
