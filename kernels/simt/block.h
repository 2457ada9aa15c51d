// The running block: its threads as fibers, and whose turn it is.
//
// A kernel runs on the system thread that synchronises, one block after another, and within a block each
// thread until it waits for others: so a run is the same every time, and blocks never really meet.
#pragma once

#include <vector_types.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "simt/fiber.h"
#include "simt/site.h"

namespace zhgpt::simt {

// A launch with its arguments bound.
struct Kernel {
  const char* name;
  dim3 grid, block;
  std::size_t shared_bytes;
  std::function<void()> body;  // what each thread does
};

struct AsyncCopy {  // one cp.async that its thread has not waited for
  Site site;
  void* to;  // shared memory
  unsigned char bytes[16];
  unsigned group;
};

struct Thread {
  enum class State { ready, waiting, returned };

  explicit Thread(void (*entry)()) : fiber(entry) {}

  uint3 index{};
  unsigned number = 0;  // linear, x fastest
  State state = State::returned;
  const char* waits_for = nullptr;  // a builtin's name
  Site site;                        // where it waits
  unsigned votes = 0;               // what the barrier it waited at counted
  std::vector<AsyncCopy> copies;
  unsigned committed_groups = 0;  // of cp.async
  Fiber fiber;

  unsigned warp() const { return number / 32; }
  unsigned lane() const { return number % 32; }
};

class Block {
 public:
  void begin(const Kernel& kernel, uint3 index);
  // Runs the block that was begun to its end. Returns the report of its fault, or "".
  std::string run();

  const Kernel& kernel() const { return *kernel_; }
  uint3 index() const { return index_; }
  unsigned size() const { return size_; }
  Thread& thread(unsigned number) { return *threads_[number]; }

  // For the running thread.
  void wait(const char* waits_for, const Site& site);  // until somebody wakes it
  void yield();                                        // stays ready, others may go first
  void wake(unsigned number);
  // Ends the kernel: "kernel k, block (0,0,0), thread (3,0,0): <text>, at a.cu:12".
  [[noreturn, gnu::format(printf, 3, 4)]] void fail(const Site& site, const char* format, ...);

 private:
  static void turns();
  void next();
  std::string deadlock() const;

  const Kernel* kernel_ = nullptr;
  uint3 index_{};
  unsigned size_ = 0, returned_ = 0;
  std::vector<std::unique_ptr<Thread>> threads_;  // at least size_; their stacks serve block after block
  std::deque<unsigned> ready_;                    // oldest first
  std::string fault_;
  Fiber caller_;
};

Block& block();
inline Thread* current = nullptr;  // nullptr outside kernels

// "kernel k, block (0,0,0), thread (3,0,0)"
std::string describe(const Thread& thread);
std::string describe(const char* what, uint3 index);

}  // namespace zhgpt::simt
