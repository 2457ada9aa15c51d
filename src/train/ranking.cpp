#include "train/ranking.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "train/run_directory.h"
#include "zhgpt/training_run.h"

namespace zhgpt {

std::string history_line(const EvaluationReport& r) {
  return "{\"step\":" + to_text(r.step) + ",\"epoch\":" + to_text(r.epoch) +
         ",\"train_loss\":" + json_number(r.train_loss) + ",\"val_loss\":" + json_number(r.val_loss) +
         ",\"val_accuracy\":" + json_number(r.val_accuracy) + "}\n";
}

Ranking::Ranking(const std::string& best_by, const std::string& history)
    : by_accuracy_(best_by == "accuracy") {
  std::istringstream lines(history);
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    const auto has = [&](const char* key) {
      return json.is_object() && json.contains(key) && json[key].is_number();
    };
    if (json.is_object() && json.contains("corpus_fingerprint"))
      entries_.clear();  // on another text from here
    if (!has("step") || !has("val_loss") || (by_accuracy_ && !has("val_accuracy"))) continue;
    add(json["step"].get<std::int64_t>(),
        {.loss = json["val_loss"].get<double>(),
         .accuracy = by_accuracy_ ? json["val_accuracy"].get<double>() : 0});
  }
}

bool Ranking::is_best(const EvaluationResult& result, const EvaluationState& before) const {
  return std::isfinite(result.loss) &&
         badness(result.loss, result.accuracy) <= badness(before.best_val_loss, before.best_val_accuracy);
}

bool Ranking::is_better(const EvaluationResult& result, const EvaluationState& before) const {
  return badness(result.loss, result.accuracy) < badness(before.best_val_loss, before.best_val_accuracy);
}

void Ranking::add(std::int64_t step, const EvaluationResult& result) {
  if (std::isfinite(result.loss)) entries_.push_back({badness(result.loss, result.accuracy), step});
}

std::vector<std::int64_t> Ranking::best_first() const {
  std::vector<Entry> sorted = entries_;
  std::sort(sorted.begin(), sorted.end(), [](const Entry& a, const Entry& b) {
    return a.badness != b.badness ? a.badness < b.badness : a.step > b.step;
  });
  std::vector<std::int64_t> steps;
  for (const Entry& entry : sorted) steps.push_back(entry.step);
  return steps;
}

}  // namespace zhgpt
