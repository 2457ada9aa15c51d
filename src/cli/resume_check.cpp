// zhgpt resume-check DIR|CORPUS...: shows on this machine and device that resuming loses no bit.
#include <stdlib.h>

#include <filesystem>
#include <iostream>
#include <memory>

#include "base/fingerprint.h"
#include "cli/console.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/session.h"
#include "cli/table.h"
#include "train/resume_check.h"
#include "train/run_directory.h"
#include "zhgpt/error.h"
#include "zhgpt/training_run.h"

namespace zhgpt::cli {
namespace {

namespace fs = std::filesystem;

struct ResumeCheckArguments {
  std::vector<std::string> paths;  // a run's directory, or a corpus
  std::int64_t at = 10, steps = 20;
  ConfigOptions config;
};

// A new hidden directory, gone with all that is in it when this goes.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const fs::path& within) : path_(within / ".zhgpt-resume-check-XXXXXX") {
    if (!::mkdtemp(path_.data())) throw IoError(tr(Msg::no_temporary_directory, path_));
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The text of a run that is there, and its configuration under the flags given: those of the text come too
// late.
Dataset dataset_of_run(const std::string& directory, const ConfigOptions& options, Config* config) {
  const Checkpoint checkpoint = open_run_checkpoint(directory, "last");
  const Config saved = config_of(checkpoint);
  std::vector<std::string> changes;
  *config = options.resolve_over(saved, &changes);
  const KeyValues before = saved.to_key_values(), now = config->to_key_values();
  for (const ConfigField& field : config_fields()) {
    const bool is_changed = before.get(field.name) != now.get(field.name);
    if (is_changed && field.group == FieldGroup::text) {
      throw ConfigError(tr(Msg::resume_check_text_is_made, field.name, directory));
    }
  }
  for (const std::string& change : changes) std::cerr << "  " << change << "\n";
  return load_dataset(directory, parse_fingerprint(checkpoint.progress().get_quoted("corpus_fingerprint")));
}

std::string bits_text(const StepState& state) {
  return to_text(static_cast<double>(state.loss)) + "  |g| " + to_text(static_cast<double>(state.grad_norm));
}

// The steps around the save, the first one that differs, and the end.
void print_steps(const ResumeCheck& check, std::int64_t at) {
  std::vector<std::vector<std::string>> rows{
      {tr(Msg::column_step), tr(Msg::column_straight), tr(Msg::column_resumed), ""}};
  const std::int64_t last = std::ssize(check.straight);
  for (std::int64_t step = 1; step <= last; ++step) {
    const bool is_shown =
        step == 1 || step == at || step == at + 1 || step == last || step == check.first_difference();
    if (!is_shown) continue;
    const StepState &a = check.straight[static_cast<std::size_t>(step - 1)],
                    &b = check.resumed[static_cast<std::size_t>(step - 1)];
    rows.push_back({std::to_string(step), bits_text(a), bits_text(b), check.same_at(step) ? "=" : "≠"});
  }
  const std::string a = fingerprint_text(check.straight_hash), b = fingerprint_text(check.resumed_hash);
  rows.push_back({tr(Msg::row_state), a, b, a == b ? "=" : "≠"});
  std::cout << table(rows, "rlll");
}

int resume_check(const ResumeCheckArguments& arguments) {
  const std::int64_t at = arguments.at, steps = arguments.steps;
  if (arguments.paths.empty()) throw ConfigError(tr(Msg::no_run_given, "resume-check"));
  if (at >= steps) throw ConfigError(tr(Msg::resume_check_order, at, steps));

  const std::string& first = arguments.paths.front();
  const bool is_run = arguments.paths.size() == 1 && fs::is_directory(first) && has_checkpoints(first);
  const TemporaryDirectory scratch(is_run ? fs::canonical(first).parent_path() : fs::temp_directory_path());
  Config config;
  Dataset dataset;
  if (is_run) {
    dataset = dataset_of_run(first, arguments.config, &config);
  } else {
    config = arguments.config.resolve();
    config.text.corpus = absolute_paths(arguments.paths);
    dataset = read_corpus(config, scratch.path());
    config.model.vocab_size = dataset.vocab.size();
  }
  const auto make = [&] { return make_backend(config.train); };
  std::cerr << tr(Msg::resume_check_doing, steps, at, make()->name()) << "\n";
  const auto progress = [](std::int64_t done, std::int64_t total) {
    throw_if_interrupted();
    draw_progress_line(progress_bar(static_cast<double>(done) / static_cast<double>(total), 20));
  };
  const ResumeCheck check = check_resume(make, config, dataset, at, steps, scratch.path(), progress);
  end_progress_line();
  print_steps(check, at);
  if (check.agrees()) {
    std::cout << tr(Msg::resume_check_agrees, steps) << "\n";
    return 0;
  }
  const std::int64_t step = check.first_difference();
  std::cout << (step > 0 ? tr(Msg::resume_check_differs, step) : tr(Msg::resume_check_state_differs)) << "\n";
  return static_cast<int>(ExitCode::other);
}

}  // namespace

void add_resume_check(CLI::App& app, Action& action) {
  auto a = std::make_shared<ResumeCheckArguments>();
  CLI::App* verb = app.add_subcommand("resume-check", tr(Msg::help_resume_check));
  verb->add_option("DIR|CORPUS", a->paths, tr(Msg::help_resume_check_paths))->type_name("");
  add_integer(*verb, "--at", a->at, 1, 1'000'000, Msg::help_resume_check_at)->group(tr(Msg::group_general));
  add_integer(*verb, "--steps", a->steps, 2, 1'000'000, Msg::help_resume_check_steps)
      ->group(tr(Msg::group_general));
  a->config.add_all(*verb);
  verb->callback([a, &action] { action = [a] { return resume_check(*a); }; });
}

}  // namespace zhgpt::cli
