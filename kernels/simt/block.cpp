#include "simt/block.h"

#include <cstdarg>
#include <cstdio>

#include "simt/settings.h"

namespace zhgpt::simt {

Block& block() {
  static Block instance;
  return instance;
}

void Block::begin(const Kernel& kernel, uint3 index) {
  kernel_ = &kernel;
  index_ = index;
  size_ = kernel.block.x * kernel.block.y * kernel.block.z;
  returned_ = 0;
  while (threads_.size() < size_) threads_.push_back(std::make_unique<Thread>(&Block::turns));
  ready_.clear();
  for (unsigned number = 0; number < size_; ++number) {
    Thread& thread = *threads_[number];
    thread.number = number;
    thread.index = {number % kernel.block.x, number / kernel.block.x % kernel.block.y,
                    number / kernel.block.x / kernel.block.y};
    thread.copies.clear();
    thread.committed_groups = 0;
    wake(number);
  }
}

std::string Block::run() {
  fault_.clear();
  next();
  if (!fault_.empty()) {
    for (auto& thread : threads_) thread->fiber.rewind();
  }
  return fault_;
}

// What every fiber does, for ever: its thread's part of one block after another.
void Block::turns() {
  for (;;) {
    block().kernel_->body();
    if (!current->copies.empty()) {
      block().fail(current->copies[0].site, "returned before waiting for its asynchronous copies");
    }
    current->state = Thread::State::returned;
    ++block().returned_;
    block().next();
  }
}

// Gives the turn to a ready thread, else to the caller of `run`. Returns when the turn comes back.
void Block::next() {
  Thread* from = current;
  Fiber& here = from ? from->fiber : caller_;
  Thread* to = nullptr;
  if (!ready_.empty()) {
    const auto chosen = ready_.begin() + static_cast<std::ptrdiff_t>(choose(ready_.size()));
    to = threads_[*chosen].get();
    ready_.erase(chosen);
  } else if (returned_ < size_) {
    fault_ = deadlock();
  }
  current = to;
  if (to != from) here.switch_to(to ? to->fiber : caller_);
}

void Block::wait(const char* waits_for, const Site& site) {
  current->state = Thread::State::waiting;
  current->waits_for = waits_for;
  current->site = site;
  next();
}

void Block::yield() {
  wake(current->number);
  next();
}

void Block::wake(unsigned number) {
  threads_[number]->state = Thread::State::ready;
  ready_.push_back(number);
}

void Block::fail(const Site& site, const char* format, ...) {
  char text[512];
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  fault_ = describe(*current) + ": " + text + ", at " + site.text();
  Fiber& here = current->fiber;
  current = nullptr;
  here.switch_to(caller_);
  __builtin_unreachable();  // the fiber is rewound
}

std::string Block::deadlock() const {
  const auto state_of = [&](unsigned number) {
    const Thread& thread = *threads_[number];
    if (thread.state == Thread::State::returned) return std::string("returned");
    return std::string(thread.waits_for) + " at " + thread.site.text();
  };
  const auto like = [&](unsigned a, unsigned b) {
    const Thread &x = *threads_[a], &y = *threads_[b];
    return x.state == y.state && (x.state == Thread::State::returned || x.site == y.site);
  };
  std::string text = std::string("kernel ") + kernel_->name + ", " + describe("block", index_) +
                     ": threads wait for others that never come:";
  for (unsigned first = 0, last; first < size_; first = last + 1) {
    for (last = first; last + 1 < size_ && like(first, last + 1);) ++last;
    text += "\n  threads " + std::to_string(first) + ".." + std::to_string(last) + ": " + state_of(first);
  }
  return text;
}

std::string describe(const char* what, uint3 index) {
  char text[64];
  std::snprintf(text, sizeof text, "%s (%u,%u,%u)", what, index.x, index.y, index.z);
  return text;
}

std::string describe(const Thread& thread) {
  return std::string("kernel ") + block().kernel().name + ", " + describe("block", block().index()) + ", " +
         describe("thread", thread.index);
}

}  // namespace zhgpt::simt

// Called by ASan and UBSan before they report; their reports name the line but not the thread.
extern "C" {
void __asan_on_error() {
  if (zhgpt::simt::current) {
    std::fprintf(stderr, "%s:\n", zhgpt::simt::describe(*zhgpt::simt::current).c_str());
  }
}
void __ubsan_on_report() {
  __asan_on_error();
}
}
