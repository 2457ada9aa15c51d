// A run whose memory ends anywhere: while it is made, trains, evaluates, writes samples or saves.
#include <atomic>

#include <gtest/gtest.h>

#include "io/memory_counter.h"
#include "torture/effort.h"
#include "train/run_fixture.h"
#include "zhgpt/checkpoint.h"

namespace zhgpt::test {
namespace {

class Training : public RunTest {
 protected:
  Training() {
    config_.train.max_iters = 4;
    config_.train.eval_interval = 2;
    config_.train.save_interval = 2;
    config_.train.sample_interval = 2;
  }
  // Whether it came to its end.
  bool train(const std::string& directory) {
    try {
      TrainerKit kit(config_, text());
      Recorder observer;
      std::atomic<int> signal{0};
      TrainingRun(*kit, directory, observer).run(signal);
      return true;
    } catch (const std::exception&) {
      return false;
    }
  }
  // Every checkpoint is whole, and what `latest` names is there.
  static void expect_whole(const std::string& directory) {
    bool has_latest = false, has_named = false;
    const std::string latest = contents(directory + "/latest");
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      const std::string name = entry.path().filename();
      if (name == "latest") has_latest = true;
      if (!name.ends_with(".bin")) continue;
      EXPECT_NO_THROW(Checkpoint::open(entry.path())) << name;
      has_named |= latest == name + "\n";
    }
    EXPECT_EQ(has_named, has_latest) << latest;
  }
};

// T26
TEST_F(Training, AnyAllocationOfARunMayFail) {
  const auto run = [this](std::int64_t at, bool for_ever) {
    TempDirectory dir(memory_directory());
    const std::int64_t live = live_memory();
    bool has_ended = false, has_happened = false;
    {
      const AllocationFault fault(at, for_ever);
      has_ended = train(dir.path());
      has_happened = fault.happened();
    }
    EXPECT_EQ(live_memory(), live) << "allocation " << at;
    EXPECT_TRUE(has_ended || has_happened);
    expect_whole(dir.path());
    return has_happened;
  };
  ASSERT_TRUE(train(TempDirectory(memory_directory()).path()));  // what is made once is made now
  std::int64_t failed = 0;
  const std::int64_t stride = is_long_form() ? 1 : 41;
  for (const bool for_ever : {false, true}) {
    for (std::int64_t at = 1; !HasFailure() && run(at, for_ever); at += stride) ++failed;
  }
  EXPECT_GT(failed, 50);
  figure("T26", "allocations of a run failed", failed);
}

}  // namespace
}  // namespace zhgpt::test
