// Every system call of a save fails in every way, once and for ever: the old file or the whole new one is there, the
// caller is told the truth, and nothing is left over. Killing a process can not find a missing fsync, so the order of
// the calls that make a file durable is itself a test.
#include "io/faults.h"

#include <cerrno>

#include <gtest/gtest.h>

#include "io/sample.h"
#include "zhgpt/atomic_file.h"

namespace zhgpt::test {
namespace {

TEST(Durability, TheFileIsOnDiskBeforeItsNameAndTheNameBeforeTheReturn) {
  TempDirectory dir;
  for (const bool overwrite : {false, true}) {
    const FaultScope scope;
    save_checkpoint(dir.file("a.bin"), sample_snapshot(), overwrite);
    std::vector<std::string> calls = scope.calls();
    std::erase(calls, "write");
    const std::vector<std::string> expected = {"fallocate", "fsync file", "close", "rename", "fsync directory", "close"};
    EXPECT_EQ(calls, expected);
  }
}

TEST(Durability, ANewDirectoryIsDurableInItsParent) {
  TempDirectory dir;
  const FaultScope scope;
  prepare_directory(dir.file("a/b"));
  std::vector<std::string> calls = scope.calls();
  ASSERT_GE(calls.size(), 4u);
  calls.resize(4);
  EXPECT_EQ(calls, (std::vector<std::string>{"fsync directory", "close", "fsync directory", "close"}));
}

// Saves over a good file with one fault. Returns whether the fault came to pass.
bool save_with(const Fault& fault, bool is_harmless) {
  TempDirectory dir;
  save_checkpoint(dir.file("a.bin"), sample_snapshot(1));
  bool has_happened = false, has_thrown = false;
  {
    const FaultScope scope(fault);
    try {
      save_checkpoint(dir.file("a.bin"), sample_snapshot(2), true);
    } catch (const IoError&) {
      has_thrown = true;
    }
    has_happened = scope.happened();
  }
  const std::string what = fault.call + " " + std::to_string(fault.error) + " at " + std::to_string(fault.at);
  EXPECT_EQ(has_thrown, has_happened && !is_harmless) << what;
  EXPECT_EQ(dir.names(), std::vector<std::string>{"a.bin"}) << what;
  const std::int64_t step = Checkpoint::open(dir.file("a.bin")).step();
  EXPECT_TRUE(step == 2 || (has_thrown && step == 1)) << what;
  return has_happened;
}

TEST(Faults, OfEveryCallLeaveTheOldFileOrTheNewOne) {
  for (const std::string call : {"write", "fsync", "close", "rename", "fallocate"}) {
    for (const int error : {ENOSPC, EDQUOT, EIO, EACCES, EROFS, EFBIG, ENOMEM}) {
      for (const bool for_ever : {false, true}) {
        int at = 1;
        // The directory's descriptor was only read from: closing it can lose nothing.
        while (save_with({call, error, at, for_ever}, call == "close" && at == 2)) ++at;
        EXPECT_GT(at, 1) << call;
      }
    }
  }
}

TEST(Faults, InterruptionsAndShortWritesAreGoneOnFromButNotForEver) {
  for (int at = 1; save_with({"write", EINTR, at, false}, true); ++at) {
  }
  for (int at = 1; save_with({"write", 0, at, false}, true); ++at) {
  }
  EXPECT_TRUE(save_with({"write", 0, 1, true}, true));
  EXPECT_TRUE(save_with({"fallocate", EINTR, 1, false}, true));
  EXPECT_TRUE(save_with({"write", EINTR, 3, true}, false));
  EXPECT_TRUE(save_with({"fsync", EINTR, 1, false}, false));  // after a failed fsync nothing is known: not tried again
}

TEST(Faults, FileSystemsWithoutReservingOrDirectorySyncWork) {
  EXPECT_TRUE(save_with({"fallocate", EOPNOTSUPP, 1, true}, true));
  EXPECT_TRUE(save_with({"fsync", EINVAL, 2, false}, true));
}

TEST(Faults, WithoutNoReplaceAnExistingFileIsStillRefused) {
  TempDirectory dir;
  const FaultScope scope({"renameat2", EINVAL, 1, true});
  save_checkpoint(dir.file("a.bin"), sample_snapshot(1));
  AtomicFile file(dir.file("b.bin"), AtomicFile::Existing::refuse);
  file.write("new");
  put_file(dir.file("b.bin"), {1, 2, 3});
  EXPECT_THROW(file.commit(), IoError);
  EXPECT_EQ(file_bytes(dir.file("b.bin")), (Bytes{1, 2, 3}));
}

std::string failure_of_fsync(int at) {
  TempDirectory dir;
  const FaultScope scope({"fsync", EIO, at, true});
  try {
    write_text_file(dir.file("a"), "x");
  } catch (const IoError& error) {
    return error.what();
  }
  return "";
}

TEST(Faults, AFailedSyncSaysWhatIsStillCertain) {
  EXPECT_NE(failure_of_fsync(1).find("did not confirm that the file was stored"), std::string::npos);
  EXPECT_NE(failure_of_fsync(2).find("may be gone after a power failure"), std::string::npos);
}

}  // namespace
}  // namespace zhgpt::test
