#include "train/run_directory.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>

#include "io/posix_file.h"
#include "train/summary.h"
#include "train/versions.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"
#include "zhgpt/training_run.h"

namespace zhgpt {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSampleHeading = "== step ";
constexpr std::string_view kMetricsHead = "{\"step\":";
constexpr std::int64_t kLargestLog = std::int64_t{1} << 31;

std::string padded(const char* prefix, std::int64_t number, std::size_t width) {
  std::string digits = std::to_string(number);
  if (digits.size() < width) digits.insert(0, width - digits.size(), '0');
  return prefix + digits + ".bin";
}

// prefix + at least `width` digits + ".bin"
bool has_form(std::string_view name, std::string_view prefix, std::size_t width) {
  if (!name.starts_with(prefix) || !name.ends_with(".bin")) return false;
  const std::string_view digits = name.substr(prefix.size(), name.size() - prefix.size() - 4);
  return digits.size() >= width &&
         std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
}
std::int64_t number_after(std::string_view line, std::string_view head) {
  std::int64_t value = -1;
  if (line.starts_with(head)) std::from_chars(line.data() + head.size(), line.data() + line.size(), value);
  return value;
}

// Step and name of every file with our names whose header carries this run's id, the newest first.
std::vector<std::pair<std::int64_t, std::string>> checkpoints_of(const std::string& directory,
                                                                 const RunId& run) {
  std::vector<std::pair<std::int64_t, std::string>> found;
  for (const std::string& name : names_in(directory)) {
    if (!is_checkpoint_name(name)) continue;
    const auto header = peek_checkpoint(directory + "/" + name);
    if (header && header->run_id == run) found.emplace_back(header->step, name);
  }
  std::sort(found.rbegin(), found.rend());
  return found;
}

// The configuration asked for it, not whoever stopped the run. Older programs did not say.
bool is_planned(const KeyValues& p) {
  return !p.has("planned_save") || p.get("planned_save") == "true";
}

// Rewrites a log without the lines for which `drop` holds.
void filter_lines(const std::string& path, const std::function<bool(std::string_view)>& drop) {
  if (!fs::exists(path)) return;
  const std::string text = read_text_file(path, kLargestLog);
  std::string kept;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size() - 1) + 1;
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    if (!drop(line)) kept += line;
    begin = end;
  }
  if (kept.size() != text.size()) write_text_file(path, kept);
}

}  // namespace

std::string epoch_file_name(std::int64_t epoch) {
  return padded("epoch_", epoch, 6);
}
std::string step_file_name(std::int64_t step) {
  return padded("step_", step, 8);
}
bool is_checkpoint_name(std::string_view name) {
  return has_form(name, "epoch_", 6) || has_form(name, "step_", 8);
}

std::string read_pointer(const std::string& path) {
  std::string name = fs::exists(path) ? read_text_file(path, 4096) : "";
  while (!name.empty() && (name.back() == '\n' || name.back() == '\r')) name.pop_back();
  return name;
}

std::string sample_heading(std::int64_t step) {
  return std::string(kSampleHeading) + std::to_string(step) + "\n";
}
std::int64_t headed_step(std::string_view line) {
  return number_after(line, kSampleHeading);
}
std::string json_number(double value) {
  return std::isfinite(value) ? to_text(value) : "null";
}

NewRunDirectory::MissingDirectories::MissingDirectories(const std::string& directory) {
  std::error_code ignored;
  fs::path path = fs::absolute(directory, ignored);
  for (; !path.empty() && !fs::exists(path, ignored); path = path.parent_path()) paths.push_back(path);
}

NewRunDirectory::MissingDirectories::~MissingDirectories() {
  std::error_code ignored;
  for (const std::string& path : paths) fs::remove(path, ignored);
}

NewRunDirectory::NewRunDirectory(const std::string& directory) : missing_(directory) {
  prepare_directory(directory);
  lock_.emplace(directory);
  for (const char* name : {"vocab.json", "corpus.tokens"}) {
    const std::string path = directory + "/" + name;
    if (!fs::exists(path)) made_files_.push_back(path);
  }
}

NewRunDirectory::~NewRunDirectory() {
  std::error_code ignored;
  for (const std::string& path : made_files_) fs::remove(path, ignored);  // still under the lock
}

void cut_logs_after(const std::string& directory, std::int64_t step) {
  filter_lines(directory + "/metrics.jsonl", [&](std::string_view line) {
    return number_after(line, kMetricsHead) > step || !line.ends_with("}\n");
  });
  bool dropping = false;
  filter_lines(directory + "/samples.txt", [&](std::string_view line) {
    if (const std::int64_t headed = headed_step(line); headed >= 0) dropping = headed > step;
    return dropping;
  });
}

std::string checkpoint_at(const std::string& directory, const RunId& run, std::int64_t step) {
  for (const auto& [found, name] : checkpoints_of(directory, run)) {
    if (found == step) return name;
  }
  return "";
}

std::int64_t set_aside_after(const std::string& directory, const RunId& run, std::int64_t step) {
  std::int64_t moved = 0;
  for (const auto& [found, name] : checkpoints_of(directory, run)) {
    if (found <= step) break;
    const std::string path = directory + "/" + name;
    fs::rename(path, path + ".old");
    if (const std::string summary = summary_path(path); is_summary(summary))
      fs::rename(summary, summary + ".old");
    ++moved;
  }
  return moved;
}

std::optional<Checkpoint> checkpoint_before_trouble(const std::string& directory, const RunId& run,
                                                    std::int64_t whole_step,
                                                    std::vector<std::string>* notes) {
  std::optional<Checkpoint> last;
  for (const auto& [step, name] : checkpoints_of(directory, run)) {
    if (step > whole_step) continue;
    try {
      Checkpoint found = Checkpoint::open(directory + "/" + name);
      if (!is_planned(found.progress())) continue;
      if (step < whole_step) return found;
      last = std::move(found);
    } catch (const CheckpointError& error) {
      notes->push_back(error.what());
    }
  }
  return last;
}

void write_pointer(const std::string& directory, const char* pointer, const std::string& name) {
  const std::string path = directory + "/" + pointer;
  if (name.empty()) {
    std::error_code error;
    fs::remove(path, error);
    if (error) throw IoError(tr(Msg::io_failed, path, "unlink", error.message()));
  } else {
    write_text_file(path, name + "\n");
  }
}

void remove_old_checkpoints(const std::string& directory, const RunId& run, const KeepRules& rules) noexcept {
  try {
    const auto found = checkpoints_of(directory, run);
    const auto is_there = [&](std::int64_t step) {
      return std::any_of(found.begin(), found.end(), [&](const auto& file) { return file.first == step; });
    };
    std::vector<std::int64_t> best;
    for (std::int64_t step : rules.ranking) {
      if (static_cast<std::int64_t>(best.size()) < rules.best && is_there(step)) best.push_back(step);
    }
    const std::string named = read_pointer(directory + "/best");
    const auto planned = std::find_if(found.begin(), found.end(), [&](const auto& file) {
      try {
        return !rules.newest_is_planned &&
               is_planned(Checkpoint::open(directory + "/" + file.second).progress());
      } catch (const Error&) {  // a damaged one is nothing to go back to
        return false;
      }
    });
    for (auto old = found.rbegin(); found.rend() - old > rules.newest; ++old) {
      const auto& [step, name] = *old;
      const bool is_kept = name == named || (planned != found.end() && name == planned->second) ||
                           std::find(best.begin(), best.end(), step) != best.end() ||
                           (rules.always && rules.always(step));
      if (is_kept) continue;
      const std::string path = directory + "/" + name;
      std::error_code ignored;
      if (const std::string summary = summary_path(path); is_summary(summary)) fs::remove(summary, ignored);
      fs::remove(path, ignored);
    }
  } catch (const std::exception&) {
  }
}

bool has_checkpoints(const std::string& directory) {
  std::error_code error;
  return fs::is_directory(directory, error) && std::ranges::any_of(names_in(directory), is_checkpoint_name);
}

Checkpoint open_run_checkpoint(const std::string& directory_or_file, const std::string& which,
                               std::vector<std::string>* notes) {
  if (!fs::is_directory(directory_or_file)) return Checkpoint::open(directory_or_file);
  const std::string& directory = directory_or_file;
  if (which == "last") {
    if (auto newest = open_newest_checkpoint(directory, notes)) return *newest;
    throw CheckpointError(tr(Msg::no_checkpoint_here, directory));
  }
  if (which == "best") {
    const std::string name = read_pointer(directory + "/best");
    if (!is_checkpoint_name(name)) throw CheckpointError(tr(Msg::no_best_here, directory));
    return Checkpoint::open(directory + "/" + name);
  }
  if (which.starts_with("epoch:")) {
    const std::int64_t epoch = parse_integer(std::string_view(which).substr(6), "--from epoch:N");
    return Checkpoint::open(directory + "/" + epoch_file_name(epoch));
  }
  if (which.starts_with("v:")) return Checkpoint::open(version_path(directory, which.substr(2)));
  throw ConfigError(tr(Msg::not_a_choice, "from", which, "last|best|epoch:N|v:NAME"));
}

}  // namespace zhgpt
