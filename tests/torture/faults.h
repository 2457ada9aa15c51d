// Makes chosen system calls of this process fail and records the ones that saving a file consists of.
#pragma once

#include <string>
#include <vector>

#include "torture/system_calls.h"

namespace zhgpt::test {

struct Fault {
  std::string call;       // a name of SystemCall
  int error = 0;          // errno; 0 with "write": only half of the bytes are taken
  int at = 1;             // the first call of that name that fails, from 1
  bool for_ever = false;  // and all later ones
};

// While it lives, calls of this process are recorded and `fault` happens.
class FaultScope : private CallWatcher {
 public:
  explicit FaultScope(Fault fault = {});
  bool happened() const { return has_happened_; }
  // The calls that changed something, in order: "fsync file", "fsync directory", "rename" for both, else the
  // name.
  const std::vector<std::string>& changes() const { return changes_; }

 private:
  int before(const SystemCall& call, std::size_t& limit) override;
  void after(const SystemCall& call, std::int64_t result) override;

  Fault fault_;
  int seen_ = 0;
  bool has_happened_ = false;
  std::vector<std::string> changes_;
  WatchScope scope_;
};

// A disk with room for so many bytes: of a write that does not fit, what fits is taken, and the next one gets
// ENOSPC.
class QuotaScope : private CallWatcher {
 public:
  explicit QuotaScope(std::size_t bytes) : left_(bytes), scope_(*this) {}

 private:
  int before(const SystemCall& call, std::size_t& limit) override;
  void after(const SystemCall& call, std::int64_t result) override;

  std::size_t left_;
  WatchScope scope_;
};

}  // namespace zhgpt::test
