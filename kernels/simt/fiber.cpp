#include "simt/fiber.h"

#include <sys/mman.h>

#include <new>

#include "simt/asan.h"

#ifdef __x86_64__
// zhgpt_simt_switch(void** save, void* load): keeps what the System V ABI says a call preserves, and swaps
// stacks. It ends in a jump: of a return the processor would predict the wrong target every time.
asm(R"(
.text
.globl zhgpt_simt_switch
.type zhgpt_simt_switch,@function
zhgpt_simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  popq %rcx
  jmp *%rcx
.size zhgpt_simt_switch,.-zhgpt_simt_switch
)");
extern "C" void zhgpt_simt_switch(void** save, void* load);
#else
#include <ucontext.h>
#endif

namespace zhgpt::simt {
namespace {

constexpr std::size_t kStackBytes = 128 << 10;  // without ASan kernels need a few KiB, with it some tens
constexpr std::size_t kGuardBytes = 4096;  // an overflow ends the program instead of reaching another stack

Fiber* running = nullptr;
Fiber* previous = nullptr;  // who switched to `running`

#ifdef __x86_64__
void* prepare(const void*, char* stack, void (*enter)()) {
  void** top = reinterpret_cast<void**>(stack + kStackBytes);
  *--top =
      nullptr;  // where enter would return to; also puts the stack 8 below a multiple of 16, as after a call
  *--top = reinterpret_cast<void*>(enter);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  return top;
}
void swap_contexts(void** save, void* load) {
  zhgpt_simt_switch(save, load);
}
#else
void* prepare(void* old, char* stack, void (*enter)()) {
  auto* context = old ? static_cast<ucontext_t*>(old) : new ucontext_t;
  getcontext(context);
  context->uc_stack.ss_sp = stack;
  context->uc_stack.ss_size = kStackBytes;
  context->uc_link = nullptr;
  makecontext(context, enter, 0);
  return context;
}
void swap_contexts(void** save, void* load) {
  if (!*save) *save = new ucontext_t;
  swapcontext(static_cast<ucontext_t*>(*save), static_cast<ucontext_t*>(load));
}
void discard(void* context) {
  delete static_cast<ucontext_t*>(context);
}
#endif

}  // namespace

Fiber::Fiber(void (*entry)()) : entry_(entry), stack_bytes_(kStackBytes) {
  void* stack =
      mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stack == MAP_FAILED) throw std::bad_alloc();
  mprotect(stack, kGuardBytes, PROT_NONE);
  stack_ = stack;
  rewind();
}

Fiber::~Fiber() {
#ifndef __x86_64__
  discard(context_);
#endif
  if (entry_) munmap(const_cast<void*>(stack_), stack_bytes_);
}

void Fiber::rewind() {
  asan::unpoison(stack_, stack_bytes_);  // the frames left behind had red zones
  context_ = prepare(context_, static_cast<char*>(const_cast<void*>(stack_)), &Fiber::enter);
  fake_stack_ = nullptr;
}

void Fiber::switch_to(Fiber& next) {
  previous = this;
  running = &next;
  if (asan::present()) __sanitizer_start_switch_fiber(&fake_stack_, next.stack_, next.stack_bytes_);
  swap_contexts(&context_, next.context_);
  arrive(*this);
}

void Fiber::arrive(Fiber& self) {
  // ASan says what stack was left, which is how the first fiber's bounds become known.
  if (asan::present()) {
    __sanitizer_finish_switch_fiber(self.fake_stack_, &previous->stack_, &previous->stack_bytes_);
  }
}

void Fiber::enter() {
  arrive(*running);
  running->entry_();
}

}  // namespace zhgpt::simt
