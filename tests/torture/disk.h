// What a disk may hold after the power was cut, enumerated from what a program asked the system to do.
//
// The model (of T. Pillai et al., "All file systems are not created equal", OSDI'14, and of SQLite's "atomic
// commit"): what was written but not fsynced may be there, absent, or torn at sectors of 512 bytes, whose
// others read as zeros or as garbage; the file may have grown before its content. A change of a directory
// (create, rename, unlink) that was not followed by an fsync of the directory may be there or not, each by
// itself; those that are there have happened in order. A rename is atomic. What was fsynced is there. One
// directory, without subdirectories.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "torture/system_calls.h"

namespace zhgpt::test {

struct Operation {
  enum class Kind { create, write, truncate, sync_file, rename, unlink, sync_directory, acknowledge };
  Kind kind;
  std::string name = {}, to = {};     // create, rename, unlink: names in the directory
  int file = 0;                       // create, write, truncate, sync_file
  std::int64_t number = 0;            // write: offset; truncate: size; acknowledge: step
  std::vector<std::byte> bytes = {};  // write
};
using Trace = std::vector<Operation>;

// While it lives, what this process does to files of `directory`, which is empty at first, is recorded.
class DiskRecorder : private CallWatcher {
 public:
  explicit DiskRecorder(std::string directory) : directory_(std::move(directory)), scope_(*this) {}
  void acknowledge(std::int64_t step) {
    trace_.push_back({.kind = Operation::Kind::acknowledge, .number = step});
  }
  const Trace& trace() const { return trace_; }

 private:
  void after(const SystemCall& call, std::int64_t result) override;
  bool name_in_directory(const std::string& path, std::string& name) const;

  std::string directory_;
  Trace trace_;
  std::map<std::string, int> names_;  // of files; numbers, since the system uses those of inodes again
  std::map<ino_t, int> files_;
  int created_ = 0;
  WatchScope scope_;
};

using DiskState = std::map<std::string, std::vector<std::byte>>;  // contents by name

// Calls `check(state, acknowledged)` for states that the disk may be in when the power is cut after any
// number of operations: all combinations where at most `exhaustive` operations are pending, else `samples` of
// them; every one with each way that unwritten data may look. `acknowledged` is the last step acknowledged
// before the cut. Returns how many.
std::int64_t for_each_disk_state(
    const Trace& trace, int exhaustive, int samples, std::mt19937_64& random,
    const std::function<void(const DiskState&, std::int64_t acknowledged)>& check);

}  // namespace zhgpt::test
