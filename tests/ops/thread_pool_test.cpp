// ThreadPool: each tile once, whatever the number of threads and jobs; exceptions cross.
#include "cpu/thread_pool.h"

#include <gtest/gtest.h>

#include <numeric>
#include <stdexcept>

namespace zhgpt {
namespace {

TEST(ThreadPool, EveryTileOnceJobAfterJob) {
  for (const int threads : {1, 2, 3, 8, 17}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (std::int64_t job = 0; job < 500; ++job) {
      const std::int64_t tiles = job % 37;
      std::vector<int> visits(static_cast<std::size_t>(tiles));
      std::atomic<bool> known_thread = true;
      pool.for_each_tile(tiles, [&](std::int64_t tile, int thread) {
        ++visits[static_cast<std::size_t>(tile)];
        if (thread < 0 || thread >= threads) known_thread = false;
      });
      ASSERT_EQ(visits, std::vector<int>(static_cast<std::size_t>(tiles), 1));
      ASSERT_TRUE(known_thread);
    }
  }
}

TEST(ThreadPool, AThreadWorksOnOneTileAtATime) {
  ThreadPool pool(4);
  std::vector<std::int64_t> sums(4);
  for (int job = 0; job < 50; ++job) {
    pool.for_each_tile(
        1000, [&](std::int64_t tile, int thread) { sums[static_cast<std::size_t>(thread)] += tile; });
  }
  EXPECT_EQ(std::accumulate(sums.begin(), sums.end(), std::int64_t{0}), 50 * 999 * 1000 / 2);
}

TEST(ThreadPool, AnExceptionReachesTheCallerAndThePoolGoesOn) {
  for (const int threads : {1, 4}) {
    ThreadPool pool(threads);
    const auto fails = [](std::int64_t tile, int) {
      if (tile == 5) throw std::runtime_error("tile 5");
    };
    EXPECT_THROW(pool.for_each_tile(9, fails), std::runtime_error);
    std::atomic<int> done = 0;
    pool.for_each_tile(9, [&](std::int64_t, int) { ++done; });
    EXPECT_EQ(done, 9);
  }
}

// Two tiles that wait for each other, so that both threads have one.
TEST(ThreadPool, TellsAnObserverWhenEachThreadHadTiles) {
  struct Shares final : Observer {
    void on_operation(const OperationCost&, Interval) override {}
    void on_share(int thread, Interval time) override { all.push_back({thread, time}); }
    std::vector<std::pair<int, Interval>> all;
  } shares;
  ThreadPool pool(2);
  pool.observe(&shares);
  for (std::size_t job = 1; job <= 3; ++job) {
    std::atomic<int> begun = 0;
    const auto begin = Interval::Clock::now();
    pool.for_each_tile(2, [&](std::int64_t, int) {
      ++begun;
      while (begun < 2) std::this_thread::yield();
    });
    const auto end = Interval::Clock::now();
    ASSERT_EQ(shares.all.size(), 2 * job);
    for (std::size_t i = 2 * job - 2; i < 2 * job; ++i) {
      const auto& [thread, time] = shares.all[i];
      EXPECT_EQ(thread, static_cast<int>(i % 2));
      EXPECT_TRUE(begin <= time.begin && time.begin <= time.end && time.end <= end);
    }
    // They were at it together.
    EXPECT_LE(shares.all[2 * job - 2].second.begin, shares.all[2 * job - 1].second.end);
    EXPECT_LE(shares.all[2 * job - 1].second.begin, shares.all[2 * job - 2].second.end);
  }
  pool.observe(nullptr);
  pool.for_each_tile(2, [](std::int64_t, int) {});
  EXPECT_EQ(shares.all.size(), 6u);
}

TEST(ThreadPool, SkipsTilesWhenToldTo) {
  ThreadPool pool(2);
  std::atomic<int> done{0};
  const auto count = [&](std::int64_t, int) { ++done; };
  pool.skip_tiles(true);
  pool.for_each_tile(10, count);
  EXPECT_EQ(done, 0);
  pool.skip_tiles(false);
  pool.for_each_tile(10, count);
  EXPECT_EQ(done, 10);
}

}  // namespace
}  // namespace zhgpt
