// What a run wrote of itself: metrics.jsonl and samples.txt, as far as they can be read.
//
// A run may be going on or have been killed while it wrote: a line that is no record is counted and passed
// over. Only what is drawn is kept of a line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace zhgpt {

struct LoggedStep {
  std::int64_t step = 0;
  double epoch = 0, loss = 0, learning_rate = 0, grad_norm = 0, characters_per_s = 0;  // NaN: not known
};
struct LoggedEvaluation {
  std::int64_t step = 0;
  double epoch = 0, train_loss = 0, val_loss = 0, val_accuracy = 0;  // NaN: not known
};
struct LoggedSample {
  std::int64_t step = 0;
  std::string text;  // UTF-8
};

struct RunLog {
  std::vector<LoggedStep> steps;
  std::vector<LoggedEvaluation> evaluations;
  std::vector<LoggedSample> samples;
  std::int64_t damaged_lines = 0;  // of metrics.jsonl

  std::int64_t last_step() const;  // 0 when there is none
  double last_epoch() const;
  const LoggedEvaluation* best() const;  // by validation loss, of equal ones the first; nullptr: none
};

// Files that are not there are empty. Throws IoError when one cannot be read.
RunLog read_run_log(const std::string& directory);

}  // namespace zhgpt
