// AtomicFile, text files, directories and the lock: whole or not at all, and one writer a directory.
#include "zhgpt/atomic_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include <gtest/gtest.h>

#include "io/atomic_directory.h"
#include "io/sample.h"
#include "zhgpt/checkpoint.h"
#include "zhgpt/error.h"

namespace zhgpt::test {
namespace {

using Existing = AtomicFile::Existing;

// Files may grow to this many bytes and no further, as on a disk that is full.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : old_handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    ::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_{};
  void (*old_handler_)(int);
};

template <class Action>
std::string io_error(Action action) {
  try {
    action();
  } catch (const IoError& error) {
    EXPECT_EQ(error.code(), ExitCode::io);
    return error.what();
  }
  return "";
}

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(AtomicFile, AppearsOnlyAtCommit) {
  TempDirectory dir;
  {
    AtomicFile file(dir.file("a"), Existing::refuse);
    file.write("one ");
    file.write("two");
    EXPECT_EQ(file.written(), 7);
    EXPECT_FALSE(std::filesystem::exists(dir.file("a")));
    file.commit();
  }
  EXPECT_EQ(read_text_file(dir.file("a")), "one two");
  EXPECT_EQ(dir.names(), std::vector<std::string>{"a"});
}

TEST(AtomicFile, WithoutCommitNothingChanges) {
  TempDirectory dir;
  write_text_file(dir.file("a"), "old");
  { AtomicFile(dir.file("a"), Existing::replace).write("new"); }
  EXPECT_EQ(read_text_file(dir.file("a")), "old");
  EXPECT_EQ(dir.names(), std::vector<std::string>{"a"});
}

TEST(AtomicFile, RefusesAnExistingFileEvenOneThatAppearsMeanwhile) {
  TempDirectory dir;
  AtomicFile file(dir.file("a"), Existing::refuse);
  file.write("new");
  write_text_file(dir.file("a"), "other");
  expect_contains(io_error([&] { file.commit(); }), "already exists");
  expect_contains(io_error([&] { AtomicFile(dir.file("a"), Existing::refuse); }), "already exists");
  EXPECT_EQ(read_text_file(dir.file("a")), "other");
  EXPECT_EQ(dir.names(), std::vector<std::string>{"a"});
}

TEST(AtomicFile, ReservingDoesNotMakeAFileLonger) {
  TempDirectory dir;
  AtomicFile file(dir.file("a"), Existing::refuse, 1 << 20);
  file.write("short");
  file.commit();
  EXPECT_EQ(std::filesystem::file_size(dir.file("a")), 5u);
}

TEST(AtomicFile, ReplacesALinkAndNotWhatItPointsTo) {
  TempDirectory dir;
  write_text_file(dir.file("target"), "target");
  std::filesystem::create_symlink(dir.file("target"), dir.file("link"));
  write_text_file(dir.file("link"), "new");
  EXPECT_EQ(read_text_file(dir.file("target")), "target");
  EXPECT_FALSE(std::filesystem::is_symlink(dir.file("link")));
}

TEST(AtomicFile, NewFilesFollowTheUmask) {
  TempDirectory dir;
  const mode_t old = ::umask(027);
  write_text_file(dir.file("a"), "x");
  ::umask(old);
  struct stat info {};
  ASSERT_EQ(::stat(dir.file("a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

TEST(AtomicFile, EachFailureHasItsOwnSentenceAndLeavesNothing) {
  TempDirectory dir;
  write_text_file(dir.file("file"), "x");
  std::filesystem::create_directory(dir.file("sub"));
  expect_contains(io_error([&] { write_text_file(dir.file("missing/a"), "x"); }),
                  "no such file or directory");
  expect_contains(io_error([&] { write_text_file(dir.file("file/a"), "x"); }), "a directory is expected");
  expect_contains(io_error([&] { write_text_file(dir.file("sub"), "x"); }), "this is a directory");
  expect_contains(io_error([&] { AtomicFile(dir.file("a"), Existing::refuse, std::int64_t{1} << 60); }),
                  "1152921504606846976 bytes");
  expect_contains(io_error([&] { write_text_file("/proc/zhgpt-test", "x"); }), "/proc/zhgpt-test");
  EXPECT_EQ(dir.names(), (std::vector<std::string>{"file", "sub"}));
}

TEST(AtomicFile, AFullDiskLeavesTheOldFile) {
  TempDirectory dir;
  write_text_file(dir.file("a"), "old");
  const FileSizeLimit limit(1000);
  // Found when space is reserved, and found when it is written.
  expect_contains(io_error([&] { write_text_file(dir.file("a"), std::string(2000, 'x')); }), "2000 bytes");
  expect_contains(io_error([&] {
                    AtomicFile file(dir.file("a"), Existing::replace);
                    file.write(std::string(2000, 'x'));
                    file.commit();
                  }),
                  "ulimit");
  EXPECT_EQ(read_text_file(dir.file("a")), "old");
  EXPECT_EQ(dir.names(), std::vector<std::string>{"a"});
}

TEST(AtomicFile, ACheckpointThatDoesNotFitLeavesTheOldOne) {
  TempDirectory dir;
  save_checkpoint(dir.file("a.bin"), sample_snapshot(1));
  const Bytes before = file_bytes(dir.file("a.bin"));
  for (rlim_t bytes = 0; bytes < before.size(); bytes += 4099) {
    const FileSizeLimit limit(bytes);
    EXPECT_NE(io_error([&] { save_checkpoint(dir.file("a.bin"), sample_snapshot(2), true); }), "");
  }
  EXPECT_EQ(file_bytes(dir.file("a.bin")), before);
  EXPECT_EQ(dir.names(), std::vector<std::string>{"a.bin"});
}

TEST(AtomicFile, ADirectoryThatVanishesIsAnError) {
  TempDirectory dir;
  std::filesystem::create_directory(dir.file("sub"));
  AtomicFile file(dir.file("sub/a"), Existing::refuse);
  file.write("x");
  std::filesystem::remove_all(dir.file("sub"));
  expect_contains(io_error([&] { file.commit(); }), "no such file or directory");
}

TEST(ReadTextFile, RefusesWhatIsNotASmallRegularFile) {
  TempDirectory dir;
  write_text_file(dir.file("a"), "12345");
  EXPECT_EQ(read_text_file(dir.file("a"), 5), "12345");
  expect_contains(io_error([&] { read_text_file(dir.file("a"), 4); }), "more than 4 bytes");
  expect_contains(io_error([&] { read_text_file(dir.path()); }), "directory");
  expect_contains(io_error([&] { read_text_file(dir.file("b")); }), "no such file");
  ASSERT_EQ(::mkfifo(dir.file("pipe").c_str(), 0600), 0);
  expect_contains(io_error([&] { read_text_file(dir.file("pipe")); }), "pipe");
}

TEST(PrepareDirectory, MakesParentsAndLeavesNoProbe) {
  TempDirectory dir;
  prepare_directory(dir.file("a/b/c"));
  prepare_directory(dir.file("a/b/c/"));
  EXPECT_TRUE(std::filesystem::is_empty(dir.file("a/b/c")));
  write_text_file(dir.file("file"), "x");
  EXPECT_NE(io_error([&] { prepare_directory(dir.file("file")); }), "");
  EXPECT_NE(io_error([&] { prepare_directory(dir.file("file/a")); }), "");
  const FileSizeLimit limit(100);
  EXPECT_NE(io_error([&] { prepare_directory(dir.file("a")); }), "");
}

std::string busy_error(const std::string& directory) {
  try {
    DirectoryLock lock(directory);
    return "";
  } catch (const BusyError& error) {
    EXPECT_EQ(error.code(), ExitCode::busy);
    return error.what();
  }
}

TEST(DirectoryLock, OneOwnerNamedToOthersUntilItEndsHoweverItEnds) {
  TempDirectory dir;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    DirectoryLock lock(dir.path());
    if (::write(ready[1], "x", 1) == 1) ::pause();
    ::_exit(1);
  }
  char signal_byte = 0;
  ASSERT_EQ(::read(ready[0], &signal_byte, 1), 1);
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  const std::string text = busy_error(dir.path());
  expect_contains(text, std::to_string(child));
  expect_contains(text, host);

  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(busy_error(dir.path()), "");
  EXPECT_EQ(busy_error(dir.path()), "");  // and released by the destructor
  ::close(ready[0]);
  ::close(ready[1]);
}

// The file goes with its lock, so one may open it just before it goes and lock what nobody else will ever
// open.
TEST(DirectoryLock, LeavesNoFileAndYetHasOneOwnerAtATime) {
  TempDirectory dir;
  const auto own_often = [&] {
    for (int owned = 0; owned < 500;) {
      try {
        const DirectoryLock lock(dir.path());
        ++owned;
        EXPECT_TRUE(std::filesystem::create_directory(dir.file("owned"))) << "two owners";
        std::filesystem::remove(dir.file("owned"));
      } catch (const BusyError&) {
      }
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(own_often);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(dir.names(), std::vector<std::string>());
}

TEST(DirectoryLock, SweepsTemporariesOfOursAndNothingElse) {
  TempDirectory dir;
  const std::vector<std::string> kept = {".a.tmp-12-00112233445566",
                                         ".a.tmp-12-0011223344556677.bin",
                                         ".a.tmp-x-0011223344556677",
                                         ".tmp-12-0011223344556677",
                                         "a.tmp-12-0011223344556677",
                                         "ckpt.bin",
                                         "run.lock"};
  for (const std::string& name : kept) put_file(dir.file(name), {1});
  put_file(dir.file(".ckpt.bin.tmp-12-0123456789abcdef"), {1});
  const DirectoryLock lock(dir.path());
  EXPECT_EQ(dir.names(), kept);
  EXPECT_NE(busy_error(dir.path()), "");
}

// A process that lives may be at work on its own, and another directory's are none of this one's business.
TEST(AtomicDirectory, RemovesWhatAKilledProcessLeftOfTheSameDirectory) {
  TempDirectory dir;
  const pid_t dead = ::fork();
  if (dead == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(dead, nullptr, 0), dead);
  const auto left_by = [](const std::string& name, pid_t pid) {
    return "." + name + ".tmp-" + std::to_string(pid) + "-0123456789abcdef";
  };
  const std::vector<std::string> kept = {left_by("hf", ::getpid()), left_by("other", dead)};
  for (const std::string& name : {kept[0], kept[1], left_by("hf", dead)}) {
    std::filesystem::create_directory(dir.file(name));
    put_file(dir.file(name) + "/model.safetensors", {1});
  }
  {
    AtomicDirectory directory(dir.file("hf"));
    directory.commit();
  }
  auto expected = kept;
  expected.push_back("hf");
  EXPECT_EQ(dir.names(), expected);
}

TEST(DirectoryLock, OnlyTheOwnerSweeps) {
  TempDirectory dir;
  const DirectoryLock lock(dir.path());
  AtomicFile file(dir.file("a"), Existing::refuse);
  EXPECT_NE(busy_error(dir.path()), "");
  file.write("x");
  file.commit();
  EXPECT_EQ(read_text_file(dir.file("a")), "x");
}

}  // namespace
}  // namespace zhgpt::test
