// kill -9 of a process that saves: what it acknowledged is there and whole, and nothing lies about once the
// next owner holds the directory. At random instants, and at every single system call.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>

#include <gtest/gtest.h>

#include "torture/effort.h"
#include "torture/saver.h"
#include "torture/system_calls.h"

namespace zhgpt::test {
namespace {

class Kill : public FormatTest {
 protected:
  // Runs `work` in a process of its own; steps that it acknowledges are read by `acknowledged_by`.
  template <class Work>
  pid_t start(Work work) {
    EXPECT_EQ(::pipe(pipe_), 0);
    const pid_t child = ::fork();
    if (child != 0) {
      ::close(pipe_[1]);
      return child;
    }
    ::close(pipe_[0]);
    try {
      work(Saver{dir_.path(), GetParam(), 2, [this](std::int64_t step) {
                   if (::write(pipe_[1], &step, sizeof step) != sizeof step) ::_exit(2);
                 }});
    } catch (const std::exception&) {
      ::_exit(1);  // unwinding further would remove the parent's directory
    }
    ::_exit(0);
  }
  // Waits for its end. Returns whether it was killed.
  bool await(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    for (std::int64_t step = 0; ::read(pipe_[0], &step, sizeof step) == sizeof step;) acknowledged_ = step;
    ::close(pipe_[0]);
    EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
  }
  // What a reader finds who takes no lock, as if it came at this moment.
  void expect_nothing_lost() {
    std::vector<std::string> skipped;
    const auto newest = open_newest(dir_.path(), GetParam(), &skipped);
    EXPECT_TRUE(skipped.empty()) << skipped.front();
    newest_ = newest ? newest->step() : 0;
    EXPECT_GE(newest_, acknowledged_);
    lost_ += newest_ < acknowledged_;
    if (newest) {
      EXPECT_EQ(newest->state_hash(), state_hash(sample_snapshot(newest_)));
    }
  }
  // And what the next owner finds.
  void expect_nothing_left_over() {
    const DirectoryLock lock(dir_.path());
    for (const std::string& name : dir_.names()) EXPECT_FALSE(name.starts_with(".")) << name;
  }

  TempDirectory dir_{memory_directory()};
  int pipe_[2];
  std::int64_t lost_ = 0;
  std::int64_t acknowledged_ = 0,
               newest_ = 0;  // a save may be whole though its saver was killed before it said so
};
ZHGPT_FOR_EVERY_FORMAT(Kill);

// T6
TEST_P(Kill, AtRandomInstantsLosesNothingThatWasAcknowledged) {
  std::mt19937_64 random(42);
  std::int64_t kills = 0;
  for (Rounds rounds(50); rounds.more() || (acknowledged_ <= 20 && kills < 1000);
       ++kills) {  // a slow disk needs more
    const pid_t child = start([this](const Saver& saver) {
      const DirectoryLock lock(saver.directory);
      for (std::int64_t step = newest_ + 1;; ++step) saver.save(step);
    });
    ::usleep(static_cast<useconds_t>(500 + random() % 10000));
    ::kill(child, SIGKILL);
    ASSERT_TRUE(await(child));
    expect_nothing_lost();
  }
  EXPECT_GT(acknowledged_, 20);
  expect_nothing_left_over();
  figure("T6", "kills at random instants", kills);
  figure("T6", "acknowledged saves lost", lost_);
}

// Kills this process at the n-th system call: before it happens, or when it just has.
class Killer : private CallWatcher {
 public:
  Killer(std::int64_t at, bool after) : at_(at), after_(after), scope_(*this) {}

 private:
  int before(const SystemCall&, std::size_t&) override {
    if (++seen_ == at_ && !after_) ::raise(SIGKILL);
    return 0;
  }
  void after(const SystemCall&, std::int64_t) override {
    if (seen_ == at_ && after_) ::raise(SIGKILL);
  }
  std::int64_t at_, seen_ = 0;
  bool after_;
  WatchScope scope_;
};

// T6b
TEST_P(Kill, AtEverySystemCallLosesNothingThatWasAcknowledged) {
  std::int64_t kills = 0;
  for (const bool after : {false, true}) {
    for (std::int64_t at = 1;; ++at, ++kills) {
      const pid_t child = start([&, this](const Saver& saver) {
        const Killer killer(at, after);
        const DirectoryLock lock(saver.directory);
        for (std::int64_t step = newest_ + 1, last = newest_ + 3; step <= last; ++step) saver.save(step);
      });
      const bool was_killed = await(child);
      expect_nothing_lost();
      expect_nothing_left_over();
      ASSERT_FALSE(HasFailure()) << "call " << at << (after ? " after" : " before");
      if (!was_killed) break;
    }
  }
  EXPECT_GT(kills, 100);
  figure("T6b", "kills at system calls", kills);
  figure("T6b", "acknowledged saves lost", lost_);
}

}  // namespace
}  // namespace zhgpt::test
