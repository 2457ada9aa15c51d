// RunView: what a person sees of a training run: one line that redraws itself on a terminal, plain lines
// elsewhere, and the same lines in train.log.
#pragma once

#include <fstream>
#include <string>

#include "zhgpt/training_run.h"

namespace zhgpt::cli {

class RunView : public RunObserver {
 public:
  explicit RunView(const std::string& directory);

  void on_step(const StepReport& report, bool log_line) override;
  void on_evaluation(const EvaluationReport& report) override;
  void on_saved(const std::string& path) override;
  void on_sample(const std::string& text) override;
  void on_note(const std::string& text) override { say(text); }
  void on_profile(const Profile& profile) override;

  // A line on stderr and in train.log.
  void say(const std::string& text);

 private:
  std::ofstream log_;
  double val_loss_ = -1;  // below 0: none yet
  double smoothed_loss_ = -1;
};

}  // namespace zhgpt::cli
