// T10 on a file system that is really full: a tmpfs of every size around that of the files, in a mount
// namespace of the test's own, which needs no privilege where the system lets users have one. Else it is
// skipped, and the interposed full disk of fault_test.cpp stands alone.
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "torture/effort.h"
#include "torture/saver.h"

namespace zhgpt::test {
namespace {

constexpr std::int64_t kRows = 1500;  // files of several pages in every format

bool put_text(const char* path, const std::string& text) {
  return static_cast<bool>(std::ofstream(path) << text << std::flush);
}

bool enter_namespace() {
  const std::string user = "0 " + std::to_string(::getuid()) + " 1",
                    group = "0 " + std::to_string(::getgid()) + " 1";
  return ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && put_text("/proc/self/setgroups", "deny") &&
         put_text("/proc/self/uid_map", user) && put_text("/proc/self/gid_map", group) &&
         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

enum Result { fine, not_permitted, lost, left_over, never_failed };

// Saves until a save fails. What was acknowledged before is there then, nothing is left over, and another
// save may be tried.
Result fill_disk(const Saver& saver) {
  std::int64_t acknowledged = 0;
  bool has_failed = false;
  for (std::int64_t step = 1; step <= 6 && !has_failed; ++step) {
    try {
      save_checkpoint(saver.path(step), sample_snapshot(step, kRows));
      acknowledged = step;
    } catch (const IoError&) {
      has_failed = true;
    }
    const auto newest = open_newest(saver.directory, saver.extension);
    if ((newest ? newest->step() : 0) != acknowledged) return lost;
    if (newest && newest->state_hash() != state_hash(sample_snapshot(acknowledged, kRows))) return lost;
    for (const auto& entry : std::filesystem::directory_iterator(saver.directory)) {
      if (entry.path().filename().string().starts_with(".")) return left_over;
    }
  }
  return has_failed ? fine : never_failed;
}

class FullDisk : public FormatTest {};
ZHGPT_FOR_EVERY_FORMAT(FullDisk);

// T10
TEST_P(FullDisk, KeepsWhatWasAcknowledged) {
  TempDirectory dir;
  save_checkpoint(dir.file(name("a")), sample_snapshot(1, kRows));
  const std::int64_t file_kib =
      static_cast<std::int64_t>(std::filesystem::file_size(dir.file(name("a")))) / 1024;
  std::filesystem::create_directory(dir.file("disk"));
  std::int64_t sizes = 0;
  for (std::int64_t kib = 4; kib <= 5 * file_kib;
       kib += std::max<std::int64_t>(4, file_kib / 8 / 4 * 4), ++sizes) {
    const pid_t child = ::fork();
    if (child == 0) {
      const Saver saver{dir.file("disk"), GetParam(), 2, nullptr};
      const std::string size = "size=" + std::to_string(kib) + "k";
      if (!enter_namespace() || ::mount("tmpfs", saver.directory.c_str(), "tmpfs", 0, size.c_str()) != 0)
        ::_exit(not_permitted);
      ::_exit(fill_disk(saver));
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFEXITED(status));
    if (WEXITSTATUS(status) == not_permitted) GTEST_SKIP() << "this system lets its users mount nothing";
    ASSERT_EQ(WEXITSTATUS(status), fine) << kib << " KiB";
  }
  EXPECT_GT(sizes, 10);
  figure("T10", "sizes of a tmpfs", sizes);
}

}  // namespace
}  // namespace zhgpt::test
