// A program that saves: what is killed, recorded and raced by the tests of this folder.
//
// Its habits are those of a training run: one owner of the directory, a file for each step, a pointer beside
// them, "saved" is said when the file is durable, and only then the oldest goes.
#pragma once

#include <unistd.h>

#include <functional>
#include <optional>
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

// The newest checkpoint of one format that is whole: by the program's own reader of directories, which knows
// what runs save, or, of the other formats, by opening them all. `skipped` receives a line for each file that
// was refused.
inline std::optional<Checkpoint> open_newest(const std::string& directory, const std::string& extension,
                                             std::vector<std::string>* skipped = nullptr) {
  if (extension == "bin") return open_newest_checkpoint(directory, skipped);
  std::optional<Checkpoint> newest;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() != "." + extension) continue;
    try {
      Checkpoint checkpoint = Checkpoint::open(entry.path());
      if (!newest || checkpoint.step() > newest->step()) newest = std::move(checkpoint);
    } catch (const Error& error) {
      if (skipped) skipped->push_back(error.what());
    }
  }
  return newest;
}

}  // namespace zhgpt::test
