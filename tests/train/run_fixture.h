// A run in a directory of its own, with all that it told.
#pragma once

#include <atomic>
#include <optional>
#include <set>

#include "train/fixture.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/error.h"
#include "zhgpt/training_run.h"

namespace zhgpt::test {

using Outcome = TrainingRun::Outcome;

struct Recorder : RunObserver {
  void on_step(const StepReport& report, bool) override {
    if (report.step == stop_at && signal) *signal = 15;
    if (at_step) at_step(report.step);
  }
  void on_evaluation(const EvaluationReport& report) override {
    evaluations.push_back(report);
    if (at_evaluation) at_evaluation(report);
  }
  void on_saved(const std::string& path) override {
    saved.push_back(path);
    if (at_saved) at_saved(path);
  }
  void on_sample(const std::string&) override { ++samples; }
  void on_note(const std::string& text) override { notes.push_back(text); }
  std::vector<EvaluationReport> evaluations;
  std::vector<std::string> saved, notes;
  int samples = 0;
  std::int64_t stop_at = -1;
  std::atomic<int>* signal = nullptr;
  std::function<void(std::int64_t step)> at_step;
  std::function<void(const std::string& path)> at_saved;
  std::function<void(const EvaluationReport&)> at_evaluation;
};

inline RunId run_id(std::uint8_t first) {
  RunId id{};
  id[0] = first;
  return id;
}

class RunTest : public ::testing::Test {
 protected:
  RunTest() {
    config_.model.n_layer = 1;
    config_.train.max_iters = 40;
    config_.train.eval_interval = 10;
    config_.train.save_interval = 10;
    config_.train.log_interval = 1;
  }
  static Dataset text() { return made_up_dataset(81 * 8 + 1, 100, 24); }
  std::string file(const std::string& name) const { return directory_.file(name); }
  void make() {
    kit_.emplace(config_, text());
    (*kit_)->set_run_id(run_id(1));
  }
  Outcome run(std::int64_t stop_at = -1) {
    if (!kit_) make();
    std::atomic<int> signal{0};
    recorder_.evaluations.clear();
    recorder_.saved.clear();
    recorder_.notes.clear();
    recorder_.samples = 0;
    recorder_.stop_at = stop_at;
    recorder_.signal = &signal;
    return TrainingRun(**kit_, directory_.path(), recorder_).run(signal);
  }
  void resume(const std::string& which = "last") {
    kit_.reset();
    const bool is_file = which.ends_with(".bin");
    kit_.emplace(open_run_checkpoint(is_file ? file(which) : directory_.path(), which), text());
  }
  // As if the evaluation after `step` steps had found a loss that no other one will reach.
  void best_shall_be_at(std::int64_t step) {
    (*kit_)->evaluations().best_val_loss = 0;
    (*kit_)->evaluations().best_step = step;
  }
  std::set<std::string> names() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path()))
      names.insert(entry.path().filename().string());
    return names;
  }
  std::set<std::string> checkpoints() const {
    std::set<std::string> out;
    for (const std::string& name : names()) {
      if (name.ends_with(".bin")) out.insert(name);
    }
    return out;
  }
  std::string pointer(const std::string& name) const {
    const std::string text = contents(file(name));
    EXPECT_TRUE(text.ends_with('\n')) << name;
    return text.substr(0, text.find('\n'));
  }

  TempDirectory directory_;
  Config config_ = small_config();
  std::optional<TrainerKit> kit_;
  Recorder recorder_;
};

}  // namespace zhgpt::test
