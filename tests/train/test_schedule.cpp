// Learning rates, lengths of runs and epoch boundaries at points worked out by hand.
#include <cmath>

#include "train/fixture.h"

namespace zhgpt {
namespace {

// 111 steps at 1 down to 0.1: warm-up is steps 0..9, then 100 steps from step 10 to the last, 110.
TrainConfig schedule(const char* name) {
  TrainConfig config;
  config.lr_schedule = name;
  config.learning_rate = 1;
  config.min_lr = 0.1;
  config.warmup_iters = 10;
  return config;
}
constexpr std::int64_t kTotal = 111;

struct Point {
  std::int64_t step;
  double rate;
};
void expect_points(const TrainConfig& config, std::initializer_list<Point> points) {
  for (const Point& p : points) {
    EXPECT_NEAR(learning_rate_at(config, p.step, kTotal), p.rate, 1e-12) << config.lr_schedule << ", step " << p.step;
  }
}

TEST(Schedule, EveryOneWarmsUpInAStraightLine) {
  for (const char* name : {"cosine", "linear", "constant", "wsd"}) {
    expect_points(schedule(name), {{0, 0.1}, {1, 0.2}, {4, 0.5}, {9, 1}, {10, 1}});
  }
}

TEST(Schedule, Cosine) {
  const double half_root = std::sqrt(0.5);
  expect_points(schedule("cosine"), {{10, 1},
                                     {35, 0.55 + 0.45 * half_root},
                                     {60, 0.55},
                                     {85, 0.55 - 0.45 * half_root},
                                     {110, 0.1},
                                     {111, 0.1},
                                     {100000, 0.1}});
}

TEST(Schedule, Linear) {
  expect_points(schedule("linear"), {{11, 0.991}, {35, 0.775}, {60, 0.55}, {85, 0.325}, {110, 0.1}, {111, 0.1}, {100000, 0.1}});
}

TEST(Schedule, Constant) { expect_points(schedule("constant"), {{11, 1}, {60, 1}, {110, 1}, {111, 1}, {100000, 1}}); }

TEST(Schedule, WarmupStableDecay) {  // a fifth of 111 is 22 steps: down from step 89 to step 110
  expect_points(schedule("wsd"), {{11, 1}, {60, 1}, {89, 1}, {96, 0.7}, {103, 0.4}, {110, 0.1}, {111, 0.1}, {100000, 0.1}});
}

TEST(Schedule, WarmUpTakesAtMostATenthOfTheRun) {
  TrainConfig config = schedule("linear");
  config.warmup_iters = 1000;
  EXPECT_NEAR(learning_rate_at(config, 0, 50), 0.2, 1e-12);  // 5 steps
  EXPECT_NEAR(learning_rate_at(config, 4, 50), 1, 1e-12);
  EXPECT_NEAR(learning_rate_at(config, 5, 50), 1, 1e-12);
  EXPECT_LT(learning_rate_at(config, 6, 50), 1);
  EXPECT_NEAR(learning_rate_at(config, 0, 9), 1, 1e-12);  // none at all
  config.warmup_iters = 0;
  EXPECT_NEAR(learning_rate_at(config, 0, kTotal), 1, 1e-12);
}

TEST(Schedule, WithoutAMinimumItIsATenth) {
  TrainConfig config = schedule("cosine");
  config.learning_rate = 0.02;
  config.min_lr = -1;
  EXPECT_NEAR(learning_rate_at(config, 110, kTotal), 0.002, 1e-15);
  config.min_lr = 0;
  EXPECT_NEAR(learning_rate_at(config, 110, kTotal), 0, 1e-15);
}

TEST(Schedule, TheShortestRunsHaveARate) {
  for (const char* name : {"cosine", "linear", "constant", "wsd"}) {
    for (std::int64_t total : {1, 2, 3, 10}) {
      for (std::int64_t step = 0; step <= total; ++step) {
        const double rate = learning_rate_at(schedule(name), step, total);
        EXPECT_TRUE(rate >= 0.1 - 1e-12 && rate <= 1) << name << ' ' << step << " of " << total << ": " << rate;
      }
    }
  }
}

TEST(PlannedSteps, TheSmallestLimitCounts) {
  const DataOrder order{.seed = 1, .n_tokens = 8 * 101 + 1, .block_size = 8};
  ASSERT_EQ(order.n_windows(), 100);
  TrainConfig config;
  config.batch_size = 4;
  config.gradient_accumulation_steps = 2;
  const auto planned = [&](std::int64_t epochs, std::int64_t max_iters) {
    config.epochs = epochs;
    config.max_iters = max_iters;
    return planned_steps(config, order);
  };
  EXPECT_EQ(planned(0, 0), 125);    // 10 epochs
  EXPECT_EQ(planned(1, 0), 13);     // 12.5, so that the epoch is complete
  EXPECT_EQ(planned(2, 0), 25);
  EXPECT_EQ(planned(0, 7), 7);
  EXPECT_EQ(planned(0, 7000), 7000);
  EXPECT_EQ(planned(2, 24), 24);
  EXPECT_EQ(planned(2, 26), 25);
  config.batch_size = 4096;
  EXPECT_EQ(planned(1, 0), 1);  // one batch holds the corpus many times over
}

// The steps among the first `count` at which an epoch is said to end.
std::vector<std::int64_t> boundaries(std::int64_t windows, std::int64_t count) {
  Config config = test::small_config();
  config.model.n_layer = 1;
  config.train.max_iters = count;
  test::TrainerKit kit(config, test::made_up_dataset((windows + 1) * 8 + 1, 0, 24), 1);
  std::vector<std::int64_t> steps;
  EXPECT_FALSE(kit->at_epoch_boundary());
  while (kit->steps_done() < count) {
    kit->step();
    if (kit->at_epoch_boundary()) steps.push_back(kit->steps_done());
  }
  return steps;
}

using Steps = std::vector<std::int64_t>;
TEST(EpochBoundary, LongEpochsCountOneByOne) {
  EXPECT_EQ(boundaries(200, 160), (Steps{50, 100, 150}));  // 50 steps an epoch
  EXPECT_EQ(boundaries(242, 130), (Steps{61, 121}));       // 60.5: the step that completes it
}
TEST(EpochBoundary, ShortEpochsCountInGroupsOfAtLeastFiftySteps) {
  EXPECT_EQ(boundaries(196, 200), (Steps{98, 196}));  // 49 steps an epoch: every second one
  EXPECT_EQ(boundaries(40, 120), (Steps{50, 100}));   // 10 steps: every fifth
  EXPECT_EQ(boundaries(4, 110), (Steps{50, 100}));    // 1 step: every fiftieth
}
TEST(EpochBoundary, ABatchLargerThanTheCorpus) {  // 2 windows, 4 a batch: two epochs a step, 50 epochs a group
  EXPECT_EQ(boundaries(2, 60), (Steps{25, 50}));
}

}  // namespace
}  // namespace zhgpt
