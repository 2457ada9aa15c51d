// What a test may choose: the order in which things run, and how much memory the device has.
#pragma once

#include <cstddef>
#include <cstdint>

namespace zhgpt::simt {

// Order of everything that CUDA leaves open (threads of a block, blocks, streams, nodes of a graph). 0: the
// oldest first. 1: the newest first, so that one warp runs far ahead of the others. 2 and more: at random,
// the same each time for one seed. Starts as ZHGPT_SIMT_SEED, or 0.
std::uint64_t seed();
void set_seed(std::uint64_t seed);

// Which of `count` candidates, oldest first, goes next. REQUIRES: count > 0.
std::size_t choose(std::size_t count);

// Device memory in bytes; cudaMalloc fails beyond it. Starts as ZHGPT_SIMT_MEMORY, or 2 GiB.
std::size_t device_memory_limit();
void set_device_memory_limit(std::size_t bytes);

}  // namespace zhgpt::simt
