// The page of `zhgpt report`: one HTML file without scripts that loads nothing, for light and dark, narrow
// and wide. A function of what is given: the same run gives the same bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "report/measures.h"
#include "report/run_log.h"
#include "zhgpt/config.h"
#include "zhgpt/dataset.h"

namespace zhgpt {

struct ReportData {
  std::string name, directory;
  RunLog log;
  std::optional<Config> config;

  // Of the run's text, where it is at hand.
  std::int64_t documents = 0, train_characters = 0, val_characters = 0;
  std::optional<Baselines> baselines;  // on the validation text
  double five_gram = 0;

  // Of the checkpoints, where there are any.
  std::int64_t parameters = 0, vocab_size = 0;
  std::string frequent;    // the most frequent characters
  std::string checkpoint;  // that the measured texts are from
  std::uint64_t seed = 0;
  std::vector<std::string> written;           // the measured texts, UTF-8
  std::int64_t longest_text = 0;              // characters at which they were stopped
  std::optional<TextMeasures> model, people;  // of those, and of as much of the run's text
  bool people_are_validation = false;
  std::vector<std::pair<std::string, std::string>> kept;  // checkpoints, and what each wrote
};

std::string report_page(const ReportData& data);

// What the first bytes of every such page hold, and by what it is known again.
inline constexpr std::string_view kReportMark = "<meta name=\"generator\" content=\"zhgpt report\">";

}  // namespace zhgpt
