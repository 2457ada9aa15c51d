// Makes chosen system calls of this process fail and records the ones that saving a file consists of.
#pragma once

#include <string>
#include <vector>

namespace zhgpt::test {

struct Fault {
  std::string call;       // "write", "fsync", "close", "rename", "renameat2", "fallocate"
  int error = 0;          // errno; 0 with "write": only half of the bytes are taken
  int at = 1;             // the first call that fails, from 1
  bool for_ever = false;  // and all later ones
};

// While it lives, calls of this process are recorded and `fault` happens.
class FaultScope {
 public:
  explicit FaultScope(Fault fault = {});
  FaultScope(const FaultScope&) = delete;
  FaultScope& operator=(const FaultScope&) = delete;
  ~FaultScope();
  bool happened() const;
  std::vector<std::string> calls() const;  // "fsync file", "fsync directory", else the call's name
};

}  // namespace zhgpt::test
