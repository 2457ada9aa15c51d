// kill -9 at random instants of a process that saves without pause: what it acknowledged is there and whole, and
// nothing lies about once the next owner holds the directory.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>

#include <gtest/gtest.h>

#include "io/sample.h"
#include "zhgpt/atomic_file.h"

namespace zhgpt::test {
namespace {

[[noreturn]] void save_for_ever(const TempDirectory& dir, std::int64_t step, int acknowledge) {
  const DirectoryLock lock(dir.path());
  for (;; ++step) {
    save_checkpoint(dir.file(std::to_string(step) + ".bin"), sample_snapshot(step));
    if (::write(acknowledge, &step, sizeof step) != sizeof step) ::_exit(1);
    if (step > 2) ::unlink(dir.file(std::to_string(step - 2) + ".bin").c_str());
  }
}

TEST(Kill, LosesNothingThatWasAcknowledged) {
  TempDirectory dir;
  std::mt19937_64 random(42);
  std::int64_t acknowledged = 0, newest_step = 0;  // a save may be whole though its saver was killed before it said so
  for (int kill = 0; kill < 100 || (acknowledged <= 20 && kill < 1000); ++kill) {  // a slow disk needs more tries
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(pipe[0]);
      try {
        save_for_ever(dir, newest_step + 1, pipe[1]);
      } catch (const std::exception&) {
      }
      ::_exit(1);  // unwinding further would remove the parent's directory
    }
    ::close(pipe[1]);
    ::usleep(static_cast<useconds_t>(500 + random() % 10000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    for (std::int64_t step = 0; ::read(pipe[0], &step, sizeof step) == sizeof step;) acknowledged = step;
    ::close(pipe[0]);

    std::vector<std::string> skipped;
    const auto newest = open_newest_checkpoint(dir.path(), &skipped);
    EXPECT_TRUE(skipped.empty()) << skipped.front();
    if (newest) newest_step = newest->step();
    if (acknowledged == 0) continue;
    ASSERT_TRUE(newest.has_value());
    ASSERT_GE(newest->step(), acknowledged);
    EXPECT_EQ(newest->state_hash(), state_hash(sample_snapshot(newest->step())));
    acknowledged = newest->step();
  }
  EXPECT_GT(acknowledged, 20);
  const DirectoryLock lock(dir.path());
  for (const std::string& name : dir.names()) EXPECT_FALSE(name.starts_with(".")) << name;
}

}  // namespace
}  // namespace zhgpt::test
