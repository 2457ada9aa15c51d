// Several processes and one directory: one owner at a time, and readers, who take no lock, never see a part
// of a file.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "torture/effort.h"
#include "torture/saver.h"
#include "zhgpt/error.h"

namespace zhgpt::test {
namespace {

// Starts a process that does `work`, whose result is its exit status.
template <class Work>
pid_t start(Work work) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  int status = 99;
  try {
    status = work();
  } catch (const BusyError&) {
    status = static_cast<int>(ExitCode::busy);
  } catch (const std::exception&) {
  }
  ::_exit(status);
}

int exit_status(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// T18: processes wait at a gate, a pipe that is closed, and then all want the directory. The owner keeps it
// until all others were refused.
TEST(Processes, OneOwnsTheDirectoryAndTheOthersAreTold) {
  constexpr int kProcesses = 4;
  TempDirectory dir(memory_directory());
  std::int64_t starts = 0;
  for (Rounds rounds(100); rounds.more(); starts += kProcesses) {
    int gate[2], refused[2];
    ASSERT_EQ(::pipe(gate), 0);
    ASSERT_EQ(::pipe(refused), 0);
    std::vector<pid_t> children;
    for (int i = 0; i < kProcesses; ++i) {
      children.push_back(start([&] {
        char byte = 0;
        ::close(gate[1]);
        if (::read(gate[0], &byte, 1) != 0) return 98;
        try {
          const DirectoryLock lock(dir.path());
          ::close(refused[1]);  // so that reading ends when all others have
          for (int others = 1; others < kProcesses; ++others) {
            if (::read(refused[0], &byte, 1) != 1) return 97;
          }
          return 0;
        } catch (const BusyError&) {
          if (::write(refused[1], &byte, 1) != 1) return 96;
          throw;
        }
      }));
    }
    ::close(gate[0]);
    ::close(refused[1]);
    ::close(gate[1]);
    std::vector<int> statuses;
    for (const pid_t child : children) statuses.push_back(exit_status(child));
    ::close(refused[0]);
    EXPECT_EQ(std::ranges::count(statuses, 0), 1);
    EXPECT_EQ(std::ranges::count(statuses, static_cast<int>(ExitCode::busy)), kProcesses - 1);
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_EQ(dir.names(), std::vector<std::string>());
  figure("T18", "starts beside others", starts);
}

// A saver in a process of its own, until it is killed: a file for each step, and `last`, which is replaced
// under the readers' hands.
class Readers : public FormatTest {
 protected:
  Readers() {
    save_checkpoint(last_, sample_snapshot(1));
    save_checkpoint(dir_.file(name("1")), sample_snapshot(1));
    saver_ = start([this] {
      const DirectoryLock lock(dir_.path());
      const Saver saver{dir_.path(), GetParam(), 2, [](std::int64_t) {}};
      for (std::int64_t step = 2;; ++step) {
        saver.save(step);
        save_checkpoint(last_, sample_snapshot(step), true);
      }
      return 0;
    });
  }
  ~Readers() override {
    ::kill(saver_, SIGKILL);
    EXPECT_EQ(exit_status(saver_), -1);  // it was still at work
  }
  void expect_whole(const Checkpoint& checkpoint) {
    EXPECT_GE(checkpoint.step(), seen_);
    seen_ = checkpoint.step();
    EXPECT_EQ(checkpoint.state_hash(), state_hash(sample_snapshot(seen_)));
  }

  TempDirectory dir_{memory_directory()};
  std::string last_ = dir_.file(name("last"));
  pid_t saver_ = 0;
  std::int64_t seen_ = 0;
};
ZHGPT_FOR_EVERY_FORMAT(Readers);

// T18
TEST_P(Readers, NeverSeeAPartOfAFile) {
  std::int64_t reads = 0;
  for (Rounds rounds(1000); rounds.more() || seen_ < 10; ++reads) {
    expect_whole(Checkpoint::open(last_));
    ASSERT_FALSE(HasFailure()) << "read " << reads;
  }
  figure("T18", "reads beside a saver", reads);
  figure("T18", "saves meanwhile", seen_);
}

// T18: what was listed may be gone when it is opened; that is no damage, and there is always something newer.
class RunReaders : public Readers {};
INSTANTIATE_TEST_SUITE_P(Formats, RunReaders, testing::Values("bin"));  // runs save no other

TEST_P(RunReaders, OfTheDirectoryAlwaysFindTheNewest) {
  std::int64_t reads = 0;
  for (Rounds rounds(1000); rounds.more() || seen_ < 10; ++reads) {
    std::vector<std::string> skipped;
    const auto newest = open_newest_checkpoint(dir_.path(), &skipped);
    EXPECT_TRUE(skipped.empty()) << skipped.front();
    ASSERT_TRUE(newest.has_value()) << "read " << reads;
    expect_whole(*newest);
    ASSERT_FALSE(HasFailure()) << "read " << reads;
  }
  figure("T18", "directories read beside a saver", reads);
}

}  // namespace
}  // namespace zhgpt::test
