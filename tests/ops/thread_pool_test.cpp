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
