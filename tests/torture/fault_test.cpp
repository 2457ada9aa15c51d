// Every system call of a save fails in every way, once and for ever: the old file or the whole new one is
// there, the caller is told the truth, and nothing is left over. Killing a process can not find a missing
// fsync, so the order of the calls that make a file durable is itself a test.
#include "torture/faults.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include <gtest/gtest.h>

#include "io/sample.h"
#include "torture/effort.h"
#include "torture/saver.h"
#include "zhgpt/atomic_file.h"

namespace zhgpt::test {
namespace {

// How many descriptors this process has open.
std::size_t open_descriptors() {
  const std::filesystem::directory_iterator entries("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

class Durability : public FormatTest {};
ZHGPT_FOR_EVERY_FORMAT(Durability);

// T7, T8
TEST_P(Durability, TheFileIsOnDiskBeforeItsNameAndTheNameBeforeTheReturn) {
  TempDirectory dir(memory_directory());
  for (const bool overwrite : {false, true}) {
    const FaultScope scope;
    save_checkpoint(dir.file(name("a")), sample_snapshot(), overwrite);
    std::vector<std::string> calls = scope.changes();
    std::erase_if(calls, [](const std::string& call) { return call == "write" || call == "pwrite"; });
    const std::vector<std::string> expected = {"create", "fallocate", "fsync file",
                                               "close",  "rename",    "fsync directory"};
    EXPECT_EQ(calls, expected);
  }
}

TEST(NewDirectory, IsDurableInItsParent) {
  TempDirectory dir(memory_directory());
  const FaultScope scope;
  prepare_directory(dir.file("a/b"));
  std::vector<std::string> calls = scope.changes();
  ASSERT_GE(calls.size(), 4u);
  calls.resize(4);
  EXPECT_EQ(calls, (std::vector<std::string>{"mkdir", "fsync directory", "mkdir", "fsync directory"}));
}

// Saves over a good file with one fault. Returns whether the fault came to pass.
bool save_with(const std::string& name, const Fault& fault, bool is_harmless) {
  TempDirectory dir(memory_directory());
  save_checkpoint(dir.file(name), sample_snapshot(1));
  const std::size_t descriptors = open_descriptors();
  bool has_happened = false, has_thrown = false;
  {
    const FaultScope scope(fault);
    try {
      save_checkpoint(dir.file(name), sample_snapshot(2), true);
    } catch (const IoError&) {
      has_thrown = true;
    }
    has_happened = scope.happened();
  }
  const std::string what = fault.call + " " + std::to_string(fault.error) + " at " + std::to_string(fault.at);
  EXPECT_EQ(has_thrown, has_happened && !is_harmless) << what;
  EXPECT_EQ(dir.names(), std::vector<std::string>{name}) << what;
  EXPECT_EQ(open_descriptors(), descriptors) << what;
  const std::int64_t step = Checkpoint::open(dir.file(name)).step();
  EXPECT_TRUE(step == 2 || (has_thrown && step == 1)) << what;
  return has_happened;
}

class Faults : public FormatTest {};
ZHGPT_FOR_EVERY_FORMAT(Faults);

// What is not needed: a look at what is there and how much room there is, and closing a directory that was
// only read.
bool is_harmless(const std::string& call, int at) {
  return call == "lstat" || call == "fstatvfs" || (call == "close" && at == 2);
}

// T7
TEST_P(Faults, OfEveryCallLeaveTheOldFileOrTheNewOne) {
  std::int64_t injected = 0;
  for (const std::string call :
       {"lstat", "open", "fstatvfs", "fallocate", "write", "pwrite", "fsync", "close", "rename"}) {
    for (const int error : {ENOSPC, EDQUOT, EIO, EACCES, EROFS, EFBIG, ENOMEM, EMFILE, ENFILE}) {
      for (const bool for_ever : {false, true}) {
        int at = 1;
        while (save_with(name("a"), {call, error, at, for_ever}, is_harmless(call, at))) ++at;
        EXPECT_TRUE(at > 1 || call == "pwrite") << call;  // .bin is written from front to back
        injected += at - 1;
      }
    }
  }
  figure("T7", "failures injected into saving", injected);
}

// T7
TEST_P(Faults, InterruptionsAndShortWritesAreGoneOnFromButNotForEver) {
  const std::string file = name("a");
  for (int at = 1; save_with(file, {"write", EINTR, at, false}, true); ++at) {
  }
  for (int at = 1; save_with(file, {"write", 0, at, false}, true); ++at) {
  }
  EXPECT_TRUE(save_with(file, {"write", 0, 1, true}, true));
  EXPECT_TRUE(save_with(file, {"fallocate", EINTR, 1, false}, true));
  EXPECT_TRUE(save_with(file, {"write", EINTR, 1, true}, false));
  EXPECT_TRUE(save_with(file, {"open", EINTR, 1, false}, false));
  EXPECT_TRUE(save_with(file, {"fsync", EINTR, 1, false},
                        false));  // after a failed fsync nothing is known: not tried again
}

// T7: an attempt that is not even allowed to remove what it wrote leaves it to the next owner of the
// directory.
TEST_P(Faults, ATemporaryThatCannotBeRemovedIsSweptByTheNextOwner) {
  TempDirectory dir(memory_directory());
  save_checkpoint(dir.file(name("a")), sample_snapshot(1));
  {
    const FaultScope no_unlink({"unlink", EIO, 1, true});
    TensorSource failing = sample_snapshot(2).tensors[0];
    failing.read = [](std::int64_t, std::span<std::byte>) { throw DeviceError("lost"); };
    Snapshot snapshot = sample_snapshot(2);
    snapshot.tensors[1] = failing;
    snapshot.tensors[1].info.kind = SectionKind::adam_m;
    EXPECT_THROW(save_checkpoint(dir.file(name("a")), snapshot, true), DeviceError);
    EXPECT_TRUE(no_unlink.happened());
  }
  EXPECT_EQ(dir.names().size(), 2u);
  EXPECT_EQ(open_newest(dir.path(), GetParam())->step(), 1);
  const DirectoryLock lock(dir.path());
  EXPECT_EQ(dir.names(), (std::vector<std::string>{name("a"), "run.lock"}));
}

// T7, the same while reading: told, or gone on from, and the file is what it was.
TEST_P(Faults, OfReadingAreToldAndPass) {
  TempDirectory dir(memory_directory());
  save_checkpoint(dir.file(name("a")), sample_snapshot(1));
  const std::size_t descriptors = open_descriptors();
  std::int64_t injected = 0;
  for (const std::string call : {"open", "fstat", "pread"}) {
    for (const int error : {EIO, EACCES, EMFILE, ENOMEM, EINTR, ESTALE}) {
      for (const bool for_ever : {false, true}) {
        for (int at = 1;; ++at, ++injected) {
          const FaultScope scope({call, error, at, for_ever});
          bool has_thrown = false;
          try {
            EXPECT_EQ(Checkpoint::open(dir.file(name("a"))).state_hash(), state_hash(sample_snapshot(1)));
          } catch (const Error&) {
            has_thrown = true;
          }
          const bool is_gone_on_from = call == "pread" && error == EINTR && !for_ever;
          EXPECT_EQ(has_thrown, scope.happened() && !is_gone_on_from) << call << " " << error << " at " << at;
          if (!scope.happened()) break;
        }
      }
    }
  }
  EXPECT_EQ(open_descriptors(), descriptors);
  figure("T7", "failures injected into reading", injected);
}

// T7
TEST_P(Faults, FileSystemsWithoutReservingOrDirectorySyncWork) {
  EXPECT_TRUE(save_with(name("a"), {"fallocate", EOPNOTSUPP, 1, true}, true));
  EXPECT_TRUE(save_with(name("a"), {"fsync", EINVAL, 2, false}, true));
}

// T10: the disk fills up after k bytes, for every k.
TEST_P(Faults, AFullDiskLeavesTheOldFile) {
  TempDirectory dir(memory_directory());
  save_checkpoint(dir.file(name("a")), sample_snapshot(1));
  const Bytes before = file_bytes(dir.file(name("a")));
  const std::size_t step = is_long_form() ? 1 : 97;
  std::int64_t sizes = 0;
  for (std::size_t bytes = 0; bytes < before.size() - 8; bytes += step, ++sizes) {
    const QuotaScope disk(bytes);
    EXPECT_THROW(save_checkpoint(dir.file(name("a")), sample_snapshot(2), true), IoError) << bytes;
  }
  EXPECT_EQ(file_bytes(dir.file(name("a"))), before);
  EXPECT_EQ(dir.names(), std::vector<std::string>{name("a")});
  {
    const QuotaScope disk(2 * before.size());
    save_checkpoint(dir.file(name("a")), sample_snapshot(2), true);
  }
  EXPECT_EQ(Checkpoint::open(dir.file(name("a"))).step(), 2);
  figure("T10", "full disks", sizes);
}

TEST(Fault, WithoutNoReplaceAnExistingFileIsStillRefused) {
  TempDirectory dir(memory_directory());
  const FaultScope scope({"renameat2", EINVAL, 1, true});
  save_checkpoint(dir.file("a.bin"), sample_snapshot(1));
  AtomicFile file(dir.file("b.bin"), AtomicFile::Existing::refuse);
  file.write("new");
  put_file(dir.file("b.bin"), {1, 2, 3});
  EXPECT_THROW(file.commit(), IoError);
  EXPECT_EQ(file_bytes(dir.file("b.bin")), (Bytes{1, 2, 3}));
}

std::string failure_of_fsync(int at) {
  TempDirectory dir(memory_directory());
  const FaultScope scope({"fsync", EIO, at, true});
  try {
    write_text_file(dir.file("a"), "x");
  } catch (const IoError& error) {
    return error.what();
  }
  return "";
}

TEST(Fault, AFailedSyncSaysWhatIsStillCertain) {
  EXPECT_NE(failure_of_fsync(1).find("did not confirm that the file was stored"), std::string::npos);
  EXPECT_NE(failure_of_fsync(2).find("may be gone after a power failure"), std::string::npos);
}

}  // namespace
}  // namespace zhgpt::test
