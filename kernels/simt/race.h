// The race checker: which loads and stores a kernel's barriers order, in whatever order they happened to run.
//
// Kernels of the race variant are compiled with -fsanitize=thread, which puts a call before every load and
// store; instead of libtsan's functions ours answer (race_callbacks.cpp). For each 2 bytes of shared and
// device memory a cell remembers the last write and two reads. An access is an error when a conflicting one
// is not ordered before it by barriers: vector clocks, as in C. Flanagan, S. Freund, "FastTrack", PLDI 2009,
// with one shortcut: a barrier of the whole block begins a new era, and what an earlier era did is ordered
// before. So a missing barrier shows under every schedule. It also knows what memory is allocated, written,
// and the target of an asynchronous copy.
//
// Shuffles, votes, ldmatrix and mma order nothing, as the PTX memory model has it. Two atomics never race.
// Not seen: some of the races among three and more readers of a cell; hand-over between blocks by
// __threadfence is reported as a race.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace zhgpt::simt::race {

// Set when the program has instrumented kernels; everything below does nothing otherwise.
extern bool enabled;

// Memory, as its owners say: regions, cudaMemcpy and cudaMemset.
void unused(const void* address, std::size_t bytes);  // the gaps between pieces
void allocated(const void* address, std::size_t bytes);
void freed(const void* address, std::size_t bytes);
void initialised(const void* address, std::size_t bytes);

// Order.
void begin_kernel();
void begin_block();
void barrier();                                   // of the whole block
void barrier(std::span<const unsigned> threads);  // of some threads

enum class Access { read, write, atomic };
// `pc` is where the report points. Other memory than the two regions is nobody's business.
void access(const void* address, std::size_t bytes, Access kind, const void* pc);

// cp.async: nobody may touch its target before it has landed.
void copy_issued(const void* address, std::size_t bytes);
void copy_landed(const void* address, std::size_t bytes);

}  // namespace zhgpt::simt::race
