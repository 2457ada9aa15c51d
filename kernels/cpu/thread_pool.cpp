// ThreadPool: publishing a job, claiming its tiles, and waiting.
#include "cpu/thread_pool.h"

#include <utility>

namespace zhgpt {
namespace {

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Returns once `value` is no longer `old`.
void await_change(std::atomic<std::uint32_t>& value, std::uint32_t old, int spins) {
  for (int i = 0; i < spins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause_briefly();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int threads) : tickets_(static_cast<std::size_t>(threads)) {
  constexpr int kSpins = 2000;  // some tens of microseconds
  if (threads <= static_cast<int>(std::thread::hardware_concurrency())) spins_ = kSpins;
  workers_.reserve(static_cast<std::size_t>(threads) - 1);
  for (int thread = 1; thread < threads; ++thread) workers_.emplace_back([this, thread] { worker(thread); });
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  job_.fetch_add(1, std::memory_order_release);
  job_.notify_all();
  for (std::thread& thread : workers_) thread.join();
}

void ThreadPool::run(TileFunction function, const void* context, std::int64_t tiles) {
  function_.store(function, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  tiles_.store(tiles, std::memory_order_relaxed);
  unfinished_.store(static_cast<std::uint32_t>(tiles), std::memory_order_relaxed);
  const std::uint64_t number = (tickets_[0].value.load(std::memory_order_relaxed) >> 32) + 1;
  for (int thread = 0; thread < threads(); ++thread) {
    const auto share =
        static_cast<std::uint64_t>(share_begin(thread + 1, tiles) - share_begin(thread, tiles));
    tickets_[static_cast<std::size_t>(thread)].value.store(number << 32 | share, std::memory_order_release);
  }
  job_.fetch_add(1, std::memory_order_release);
  job_.notify_all();
  work(0);
  for (std::uint32_t left; (left = unfinished_.load(std::memory_order_acquire)) != 0;) {
    await_change(unfinished_, left, spins_);
  }
  if (observer_) tell_observer();
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void ThreadPool::worker(int thread) {
  for (std::uint32_t seen = 0;;) {
    await_change(job_, seen, spins_);
    seen = job_.load(std::memory_order_acquire);
    if (stop_) return;
    work(thread);
  }
}

void ThreadPool::work(int thread) {
  const int all = threads();
  for (int i = 0; i < all; ++i) work_on_share((thread + i) % all, thread);
}

void ThreadPool::work_on_share(int share, int thread) {
  std::atomic<std::uint64_t>& value = tickets_[static_cast<std::size_t>(share)].value;
  std::uint64_t ticket = value.load(std::memory_order_acquire);
  while (static_cast<std::uint32_t>(ticket) != 0) {
    const TileFunction function = function_.load(std::memory_order_relaxed);
    const void* context = context_.load(std::memory_order_relaxed);
    const std::int64_t end = share_begin(share + 1, tiles_.load(std::memory_order_relaxed));
    if (!value.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel,
                                     std::memory_order_acquire))
      continue;
    Interval& busy = tickets_[static_cast<std::size_t>(thread)].busy;
    if (observer_ && busy.begin == Interval().begin) busy.begin = Interval::Clock::now();
    try {
      function(context, end - static_cast<std::uint32_t>(ticket), thread);
    } catch (...) {
      const std::lock_guard lock(failure_mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
    if (observer_) busy.end = Interval::Clock::now();
    if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
    ticket = value.load(std::memory_order_acquire);
  }
}

void ThreadPool::tell_observer() {
  for (int thread = 0; thread < threads(); ++thread) {
    const Interval busy = std::exchange(tickets_[static_cast<std::size_t>(thread)].busy, {});
    if (busy.end != Interval().end) observer_->on_share(thread, busy);
  }
}

}  // namespace zhgpt
