// Sees every system call by which src/io reads or changes files, before it happens and after it, and may
// forbid it.
//
// In-process: the linker takes the definitions of system_calls.cpp before the C library's. So nothing has to
// be installed, no privilege is needed, and the n-th call is the same call in every run.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace zhgpt::test {

struct SystemCall {
  std::string name;     // "open", "write", "pwrite", "fsync", "close", "rename", "renameat2", "unlink", …
  std::string path;     // what it is about, absolute where the caller's was
  std::string to = {};  // of a rename
  ino_t inode = 0;      // of a call on a descriptor
  bool is_directory = false;
  int flags = 0;                          // of open
  std::int64_t offset = 0;                // of a write; the new size of ftruncate
  std::span<const std::byte> bytes = {};  // of a write
};

class CallWatcher {
 public:
  virtual ~CallWatcher() = default;
  // The errno with which the call fails, or 0 to let it happen. Of a write, `limit` bytes at most are taken.
  virtual int before([[maybe_unused]] const SystemCall& call, [[maybe_unused]] std::size_t& limit) {
    return 0;
  }
  // A call that has happened, with what it returned.
  virtual void after([[maybe_unused]] const SystemCall& call, [[maybe_unused]] std::int64_t result) {}
};

// While it lives, `watcher` sees the calls of this process; its own are not seen. One at a time.
class WatchScope {
 public:
  explicit WatchScope(CallWatcher& watcher);
  WatchScope(const WatchScope&) = delete;
  WatchScope& operator=(const WatchScope&) = delete;
  ~WatchScope();
};

}  // namespace zhgpt::test
