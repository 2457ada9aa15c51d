// AtomicDirectory: a directory of files that appears whole and durable under its name, or not at all.
//
// The files are written into `.NAME.tmp-PID-RANDOM` beside it, each as an AtomicFile; commit renames the
// directory. An empty directory of that name is replaced, anything else there is left untouched and refused.
// What a killed process leaves is that hidden directory: nothing else refers to it, and it may be removed.
#pragma once

#include <string>

namespace zhgpt {

class AtomicDirectory {
 public:
  explicit AtomicDirectory(std::string path);  // throws IoError
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;
  ~AtomicDirectory();  // without commit: removes the temporary directory

  std::string file(const std::string& name) const { return temporary_ + "/" + name; }
  void commit();  // throws IoError

 private:
  std::string path_, temporary_;
};

}  // namespace zhgpt
