// The power is cut at any moment of a series of saves. Whatever the disk then holds, by the model of disk.h,
// the reader finds every acknowledged save or a later one, and takes nothing for a checkpoint that is none.
//
// kill -9 can not find a missing fsync: the system goes on and writes. So the harness itself is tested, with
// seven savers each of which has a fault that exists in the wild; it must catch them all.
#include <fcntl.h>
#include <unistd.h>

#include <set>

#include <gtest/gtest.h>

#include "torture/disk.h"
#include "torture/effort.h"
#include "torture/saver.h"

namespace zhgpt::test {
namespace {

using Kind = Operation::Kind;

struct Findings {
  std::int64_t states = 0, lost = 0, falsely_accepted = 0, refused = 0;
};

// Puts states on a real disk and reads them with the real reader; equal ones once.
class Examiner {
 public:
  explicit Examiner(std::string extension) : extension_(std::move(extension)) {}

  Findings examine(const Trace& trace, int exhaustive, int samples) {
    std::mt19937_64 random(8);
    Findings findings;
    findings.states = for_each_disk_state(trace, exhaustive, samples, random,
                                          [&](const DiskState& state, std::int64_t acknowledged) {
                                            const Verdict& verdict = read(state);
                                            findings.lost += verdict.newest < acknowledged;
                                            findings.falsely_accepted += verdict.is_false;
                                            findings.refused += verdict.refused;
                                          });
    return findings;
  }

 private:
  struct Verdict {
    std::int64_t newest = 0;
    bool is_false = false;  // opened, but it is not what was saved
    std::int64_t refused = 0;
  };

  const Verdict& read(const DiskState& state) {
    const auto [found, is_new] = verdicts_.try_emplace(key_of(state));
    if (!is_new) return found->second;
    materialise(state);
    std::vector<std::string> refused;
    const auto newest = open_newest(dir_.path(), extension_, &refused);
    found->second.refused = static_cast<std::int64_t>(refused.size());
    if (newest) {
      found->second.newest = newest->step();
      found->second.is_false = newest->state_hash() != hash_of_step(newest->step());
    }
    return found->second;
  }
  static std::string key_of(const DiskState& state) {
    std::string key;
    for (const auto& [name, content] : state) {
      key += name + "=" + std::to_string(std::hash<std::string_view>()(text(content))) + ";";
    }
    return key;
  }
  static std::string_view text(const std::vector<std::byte>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  void materialise(const DiskState& state) {
    for (const auto& [name, content] : on_disk_) {
      if (!state.contains(name)) std::filesystem::remove(dir_.file(name));
    }
    for (const auto& [name, content] : state) {
      const auto same = on_disk_.find(name);
      if (same != on_disk_.end() && same->second == content) continue;
      std::ofstream(dir_.file(name), std::ios::binary) << text(content);
    }
    on_disk_ = state;
  }
  std::uint64_t hash_of_step(std::int64_t step) {
    const auto [found, is_new] = hashes_.try_emplace(step);
    if (is_new) found->second = state_hash(sample_snapshot(step));
    return found->second;
  }

  std::string extension_;
  TempDirectory dir_{memory_directory()};
  DiskState on_disk_;
  std::map<std::string, Verdict> verdicts_;
  std::map<std::int64_t, std::uint64_t> hashes_;
};

class PowerLoss : public FormatTest {
 protected:
  // What `work` does with a directory, in system calls. It is given a saver whose acknowledgements are
  // recorded.
  template <class Work>
  Trace record(std::int64_t kept, Work work) {
    TempDirectory dir(memory_directory());
    DiskRecorder recorder(dir.path());
    const Saver saver{dir.path(), GetParam(), kept, [&](std::int64_t step) { recorder.acknowledge(step); }};
    work(saver);
    return recorder.trace();
  }
  Trace record_a_file_for_each_step(std::int64_t kept) {
    return record(kept, [](const Saver& saver) {
      const DirectoryLock lock(saver.directory);
      for (std::int64_t step = 1; step <= 4; ++step) saver.save(step);
    });
  }
  Trace record_one_file_replaced() {
    return record(1, [this](const Saver& saver) {
      for (std::int64_t step = 1; step <= 4; ++step) {
        save_checkpoint(saver.directory + "/" + name("last"), sample_snapshot(step), true);
        saver.acknowledge(step);
      }
    });
  }
  Findings examine(const Trace& trace) {
    return Examiner(GetParam()).examine(trace, is_long_form() ? 10 : 7, is_long_form() ? 400 : 12);
  }
  void expect_nothing_lost(const Trace& trace) {
    const Findings findings = examine(trace);
    EXPECT_GT(findings.states, 500);
    EXPECT_EQ(findings.lost, 0);
    EXPECT_EQ(findings.falsely_accepted, 0);
    EXPECT_EQ(findings.refused, 0);  // no file has its final name before it is whole
    figure("T8", "disk states", findings.states);
    figure("T8", "acknowledged saves lost", findings.lost);
    figure("T8", "falsely accepted", findings.falsely_accepted);
  }
  // A seeded bug must be caught; even then nothing broken may be taken for whole.
  void expect_caught(const char* bug, const Trace& trace) {
    const Findings findings = examine(trace);
    EXPECT_GT(findings.lost, 0) << bug;
    EXPECT_EQ(findings.falsely_accepted, 0) << bug;
    figure("T8m", bug, findings.lost);
  }
};
ZHGPT_FOR_EVERY_FORMAT(PowerLoss);

// T8
TEST_P(PowerLoss, LosesNoAcknowledgedSaveOfAFileForEachStep) {
  expect_nothing_lost(record_a_file_for_each_step(2));
}

// T8
TEST_P(PowerLoss, LosesNoAcknowledgedSaveOfOneFileThatIsReplaced) {
  expect_nothing_lost(record_one_file_replaced());
}

Trace without(Trace trace, std::set<Kind> kinds) {
  std::erase_if(trace, [&](const Operation& operation) { return kinds.contains(operation.kind); });
  return trace;
}

// Each file's removal is moved to before the last operation of kind `before` in front of it.
Trace removing_earlier(Trace trace, Kind before) {
  for (std::size_t i = 0; i < trace.size(); ++i) {
    if (trace[i].kind != Kind::unlink) continue;
    std::size_t to = i;
    while (to > 0 && trace[to].kind != before) --to;
    std::rotate(trace.begin() + static_cast<std::ptrdiff_t>(to),
                trace.begin() + static_cast<std::ptrdiff_t>(i),
                trace.begin() + static_cast<std::ptrdiff_t>(i) + 1);
  }
  return trace;
}

void write_in_place(const std::string& path, const Bytes& bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  EXPECT_EQ(::write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  EXPECT_EQ(::fsync(fd), 0);
  ::close(fd);
  const int directory =
      ::open(std::filesystem::path(path).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  EXPECT_EQ(::fsync(directory), 0);
  ::close(directory);
}

// T8m
TEST_P(PowerLoss, IsNoticedByThisHarnessInSavers) {
  const Trace kept_two = record_a_file_for_each_step(2), replaced = record_one_file_replaced();
  const Trace kept_one = record(1, [](const Saver& saver) {
    for (std::int64_t step = 1; step <= 4; ++step) {
      save_checkpoint(saver.path(step), sample_snapshot(step));
      saver.acknowledge(step);
      ::unlink(saver.path(step - 1).c_str());
    }
  });
  EXPECT_EQ(examine(kept_one).lost, 0);
  expect_caught("1 no fsync of the file", without(kept_two, {Kind::sync_file}));
  expect_caught("2 no fsync of the directory", without(kept_two, {Kind::sync_directory}));
  expect_caught("3 neither", without(kept_two, {Kind::sync_file, Kind::sync_directory}));
  expect_caught("5 renamed over the old file without fsync", without(replaced, {Kind::sync_file}));
  expect_caught("6 the old file removed before the save", removing_earlier(kept_one, Kind::create));
  expect_caught("7 the old file removed before the directory's fsync",
                removing_earlier(kept_one, Kind::sync_directory));

  std::vector<Bytes> files;
  TempDirectory dir(memory_directory());
  for (std::int64_t step = 1; step <= 4; ++step) {
    save_checkpoint(dir.file(name("a")), sample_snapshot(step), true);
    files.push_back(file_bytes(dir.file(name("a"))));
  }
  expect_caught("4 written in place", record(1, [&](const Saver& saver) {
                  for (std::size_t i = 0; i < files.size(); ++i) {
                    write_in_place(saver.directory + "/" + name("last"), files[i]);
                    saver.acknowledge(static_cast<std::int64_t>(i) + 1);
                  }
                }));
}

}  // namespace
}  // namespace zhgpt::test
