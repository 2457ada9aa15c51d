// AsyncSaver: checkpoints of a run, written beside the training.
//
// A step waits only for a copy of the state within the device; a thread then reads, hashes and writes it.
// What is written has the bits that saving on the spot would give. One save at a time: the next one begins
// when what became of the one before is known.
#pragma once

#include <cstdint>
#include <future>
#include <optional>
#include <string>

#include "train/run_directory.h"
#include "zhgpt/trainer.h"

namespace zhgpt {

// Proves that a file just written holds the state of that hash; otherwise removes it and throws IoError.
void verify_saved(const std::string& path, std::uint64_t expected_hash);

class AsyncSaver {
 public:
  struct Request {
    std::string name;         // of the file in the directory
    bool is_best = false;     // `best` is to name it
    bool is_planned = false;  // the configuration asks for it, so any run of it saves here
    KeepRules keep;           // what stays beside it
  };
  struct Outcome {
    std::string path;
    std::int64_t step = 0;
    std::string error;      // "": the file is durable, and so are its summary and the pointers
    bool is_finite = true;  // false: the state was not, so that it is not saved
    std::string note;       // a warning worth reading
  };

  AsyncSaver(Trainer& trainer, std::string directory) : trainer_(trainer), directory_(std::move(directory)) {}
  AsyncSaver(const AsyncSaver&) = delete;
  AsyncSaver& operator=(const AsyncSaver&) = delete;
  ~AsyncSaver();  // waits for the save under way

  // Begins to save the trainer's state as it is now. REQUIRES: no save is under way.
  void begin(Request request);
  // What became of the save under way, once: when it is known, or with `wait` in any case. nullopt when it is
  // not known yet or there is none. What failed for want of disk or of finite numbers is in the outcome;
  // throws DeviceError when the copy failed.
  std::optional<Outcome> finished(bool wait);

 private:
  void write();  // on the thread

  Trainer& trainer_;
  const std::string directory_;
  bool is_busy_ = false;
  Request request_;
  Snapshot snapshot_;
  double learning_rate_ = 0;
  Observer* observer_ = nullptr;
  Outcome outcome_;
  std::future<void> written_;
};

}  // namespace zhgpt
