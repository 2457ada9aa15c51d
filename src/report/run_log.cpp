#include "report/run_log.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>

#include "train/run_directory.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

template <class Use>
void for_each_line(const std::string& path, const Use& use) {
  if (!std::filesystem::exists(path)) return;
  std::ifstream file(path, std::ios::binary);
  for (std::string line; std::getline(file, line);) use(line);
  if (!file.eof()) throw IoError(tr(Msg::io_failed, path, "read", std::generic_category().message(errno)));
}

double number(const nlohmann::json& record, const char* key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_number() ? found->get<double>()
                                                     : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

std::int64_t RunLog::last_step() const {
  return std::max(steps.empty() ? 0 : steps.back().step, evaluations.empty() ? 0 : evaluations.back().step);
}

double RunLog::last_epoch() const {
  return std::max(steps.empty() ? 0 : steps.back().epoch, evaluations.empty() ? 0 : evaluations.back().epoch);
}

const LoggedEvaluation* RunLog::best() const {
  const LoggedEvaluation* best = nullptr;
  for (const LoggedEvaluation& e : evaluations) {
    if (std::isfinite(e.val_loss) && (!best || e.val_loss < best->val_loss)) best = &e;
  }
  return best;
}

RunLog read_run_log(const std::string& directory) {
  RunLog log;
  for_each_line(directory + "/metrics.jsonl", [&](const std::string& line) {
    const auto record = nlohmann::json::parse(line, nullptr, false);
    const bool is_record =
        record.is_object() && record.contains("step") && record["step"].is_number_integer();
    if (!is_record) {
      ++log.damaged_lines;
      return;
    }
    const std::int64_t step = record["step"];
    if (record.contains("loss")) {
      log.steps.push_back({step, number(record, "epoch"), number(record, "loss"), number(record, "lr"),
                           number(record, "grad_norm"), number(record, "chars_per_s")});
    } else if (record.contains("val_loss")) {
      log.evaluations.push_back({step, number(record, "epoch"), number(record, "train_loss"),
                                 number(record, "val_loss"), number(record, "val_accuracy")});
    }
  });
  for_each_line(directory + "/samples.txt", [&](const std::string& line) {
    if (const std::int64_t step = headed_step(line); step >= 0) {
      log.samples.push_back({step, ""});
    } else if (!log.samples.empty()) {
      log.samples.back().text += line + "\n";
    }
  });
  for (LoggedSample& sample : log.samples) sample.text.erase(sample.text.find_last_not_of('\n') + 1);
  return log;
}

}  // namespace zhgpt
