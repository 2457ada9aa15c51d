// ThreadPool: fixed threads that share out the tiles of one job at a time.
//
// Tiles are cut by the operation from its shapes alone; threads only choose who computes a tile, so bits do
// not depend on how many there are. Each thread begins with its own share, a range of neighbouring tiles, so
// that from one operation to the next it meets the rows that are still in its cache; then it helps the
// others. Idle threads spin briefly, since the operations of a step follow each other closely, and then
// sleep; with more threads than cores nobody spins. A job allocates nothing.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "zhgpt/observer.h"

namespace zhgpt {

class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // REQUIRES: threads >= 1; the calling thread is one of them
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(tickets_.size()); }

  // Calls tile_function(tile, thread) for every tile in [0, tiles), each once, and returns when all are done.
  // The first exception a tile threw is rethrown here. REQUIRES: not called from within a tile, tiles < 2^31.
  template <class F>
  void for_each_tile(std::int64_t tiles, const F& tile_function) {
    if (skips_tiles_) return;
    if (tiles <= 1 || threads() == 1) {
      for (std::int64_t tile = 0; tile < tiles; ++tile) tile_function(tile, 0);
      return;
    }
    run([](const void* f, std::int64_t tile, int thread) { (*static_cast<const F*>(f))(tile, thread); },
        &tile_function, tiles);
  }

  // From now on no tile is computed, or they are again: for what is wanted of an operation but its results.
  void skip_tiles(bool skip) { skips_tiles_ = skip; }

  // From now on the observer is told, before for_each_tile returns, how long each thread had tiles; with
  // nullptr nobody is.
  void observe(Observer* observer) { observer_ = observer; }

 private:
  using TileFunction = void (*)(const void*, std::int64_t, int);

  void run(TileFunction function, const void* context, std::int64_t tiles);
  void worker(int thread);
  void work(int thread);
  void work_on_share(int share, int thread);
  void tell_observer();

  // One a thread: the job's number (high half) and how many tiles of the thread's share nobody has claimed
  // yet (low half). While a tile is unclaimed, `run` cannot return, so what is read of a job before a
  // successful claim belongs to that job.
  struct alignas(64) Ticket {
    std::atomic<std::uint64_t> value{0};
    Interval busy;  // of the thread, while there is an observer; written and read as the job's results are
  };
  std::int64_t share_begin(int thread, std::int64_t tiles) const { return tiles * thread / threads(); }

  std::vector<Ticket> tickets_;
  alignas(64) std::atomic<std::uint32_t> unfinished_{0};
  alignas(64) std::atomic<std::uint32_t> job_{0};  // what sleeping workers wait on
  std::atomic<TileFunction> function_{nullptr};
  std::atomic<const void*> context_{nullptr};
  std::atomic<std::int64_t> tiles_{0};
  std::atomic<bool> stop_{false};
  int spins_ = 0;
  bool skips_tiles_ = false;
  Observer* observer_ = nullptr;
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
  std::vector<std::thread> workers_;
};

}  // namespace zhgpt
