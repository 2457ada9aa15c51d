// Fibers: stacks that one system thread switches between. Every CUDA thread of a block is one.
//
// On x86-64 a switch is a dozen instructions; elsewhere ucontext does it, with two calls of the kernel.
#pragma once

#include <cstddef>

namespace zhgpt::simt {

class Fiber {
 public:
  Fiber() = default;                // whoever switches first: it has a stack already
  explicit Fiber(void (*entry)());  // a stack of its own, which starts in `entry`; entry never returns
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  // Leaves off here, goes on with `next`, and returns when somebody switches back.
  void switch_to(Fiber& next);
  // Forgets what it was doing: the next switch enters `entry` anew. What its frames own is lost.
  void rewind();

 private:
  static void arrive(Fiber& self);
  static void enter();

  void* context_ = nullptr;  // stack pointer, or ucontext_t
  void (*entry_)() = nullptr;
  const void* stack_ = nullptr;  // lowest address
  std::size_t stack_bytes_ = 0;
  void* fake_stack_ = nullptr;  // ASan's, while this fiber rests
};

}  // namespace zhgpt::simt
