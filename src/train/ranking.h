// Ranking: which of the evaluated steps of a run were the best.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "zhgpt/trainer.h"

namespace zhgpt {

struct EvaluationReport;

// An evaluation as a line of a run's history, a JSON object of its numbers.
std::string history_line(const EvaluationReport& report);

class Ranking {
 public:
  // best_by: "loss" or "accuracy". Passes over lines of `history` that are none of ours or lack that.
  Ranking(const std::string& best_by, const std::string& history);

  // Against the best before: at least as good, so that of equals the later one wins; and better.
  bool is_best(const EvaluationResult& result, const EvaluationState& before) const;
  bool is_better(const EvaluationResult& result, const EvaluationState& before) const;
  void add(std::int64_t step, const EvaluationResult& result);
  std::vector<std::int64_t> best_first() const;  // steps; of equally good ones the later first

 private:
  double badness(double loss, double accuracy) const { return by_accuracy_ ? -accuracy : loss; }
  struct Entry {
    double badness;
    std::int64_t step;
  };
  bool by_accuracy_;
  std::vector<Entry> entries_;
};

}  // namespace zhgpt
