// A run whose memory ends anywhere: while it is made, trains, evaluates, writes samples or saves.
#include <sys/wait.h>
#include <unistd.h>

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

// T26. Each trial is a process of its own, so that one that is ended is seen as such.
TEST_F(Training, AnyAllocationOfARunMayFail) {
  enum Verdict { kEnded, kFailed, kLeaked };
  ASSERT_TRUE(train(TempDirectory(memory_directory()).path()));  // what is made once is made now
  const auto run = [this](const std::string& directory, std::int64_t at, bool for_ever) {
    const std::int64_t live = live_memory();
    bool has_happened = false;
    {
      const AllocationFault fault(at, for_ever);
      train(directory);
      has_happened = fault.happened();
    }
    return live_memory() != live ? kLeaked : has_happened ? kFailed : kEnded;
  };
  std::int64_t failed = 0;
  const std::int64_t stride = is_long_form() ? 1 : 41;
  for (const bool for_ever : {false, true}) {
    for (std::int64_t at = 1;; at += stride) {
      TempDirectory dir(memory_directory());
      const pid_t child = ::fork();
      if (child == 0) ::_exit(run(dir.path(), at, for_ever));
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      expect_whole(dir.path());
      ASSERT_FALSE(HasFailure()) << "allocation " << at;
      ASSERT_TRUE(WIFEXITED(status)) << "allocation " << at << ", signal " << WTERMSIG(status);
      ASSERT_NE(WEXITSTATUS(status), kLeaked) << "allocation " << at;
      if (WEXITSTATUS(status) == kEnded) break;
      ++failed;
    }
  }
  EXPECT_GT(failed, 50);
  figure("T26", "allocations of a run failed", failed);
}

}  // namespace
}  // namespace zhgpt::test
