// A program that saves: what is killed, recorded and raced by the tests of this folder.
//
// Its habits are those of a training run: one owner of the directory, a file for each step, a pointer beside
// them, "saved" is said when the file is durable, and only then the oldest goes.
#pragma once

#include <functional>
#include <string>

#include "io/sample.h"
#include "zhgpt/atomic_file.h"

namespace zhgpt::test {

struct Saver {
  std::string directory;
  std::string extension;
  std::int64_t kept = 2;                               // files
  std::function<void(std::int64_t step)> acknowledge;  // "saved"

  std::string path(std::int64_t step) const {
    return directory + "/" + std::to_string(step) + "." + extension;
  }
  void save(std::int64_t step) const {
    save_checkpoint(path(step), sample_snapshot(step));
    acknowledge(step);
    write_text_file(directory + "/latest", std::to_string(step) + "." + extension + "\n");
    if (step > kept) ::unlink(path(step - kept).c_str());
  }
};

}  // namespace zhgpt::test
