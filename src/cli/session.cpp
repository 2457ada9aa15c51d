#include "cli/session.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <numbers>

#include "cli/console.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/run_view.h"
#include "train/run_directory.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt::cli {
namespace {

constexpr std::int64_t kProfileSteps = 10;

std::string megabytes(std::int64_t bytes) {
  return fixed(static_cast<double>(bytes) / 1e6, 1);
}

void say_corpus(const Dataset& dataset) {
  const CorpusReport& r = dataset.report;
  std::string encodings;
  for (const std::string& encoding : r.encodings) encodings += (encodings.empty() ? "" : ", ") + encoding;
  std::cerr << tr(Msg::corpus_read, r.files, megabytes(r.source_bytes), encodings, r.documents,
                  r.document_rule)
            << "\n"
            << tr(Msg::corpus_split, dataset.train.count, dataset.val.count, dataset.vocab.size()) << "\n";
  for (const std::string& note : r.notes) std::cerr << note << "\n";
  if (r.invalid_sequences > 0) std::cerr << tr(Msg::corpus_invalid, r.invalid_sequences) << "\n";
  if (r.dropped_controls > 0) std::cerr << tr(Msg::corpus_controls, r.dropped_controls) << "\n";
  if (r.unknown_train + r.unknown_val > 0) {
    std::cerr << tr(Msg::corpus_unknown, r.unknown_train, r.unknown_val) << "\n";
  }
}

void say_plan(Trainer& trainer, RunView& view) {
  const ModelConfig& m = trainer.config().model;
  const std::int64_t parameters = trainer.model().table().count();
  view.say(tr(Msg::plan_model, m.n_layer, m.n_head, m.n_embd, m.block_size,
              short_number(static_cast<double>(parameters)), trainer.backend().name()));
  view.say(tr(Msg::plan_steps, trainer.total_steps() - trainer.steps_done(), trainer.tokens_per_step(),
              fixed(trainer.epochs_after(trainer.total_steps()), 1)));
}

// The validation loss beside what simpler models reach on the same text.
void say_baselines(double val_loss, const Dataset& dataset, RunView& view) {
  const Baselines b = compute_baselines(dataset.train, dataset.val, dataset.vocab);
  view.say(tr(Msg::summary_validation, fixed(val_loss, 3), fixed(std::exp(val_loss), 1),
              fixed(val_loss / std::numbers::ln2, 2)));
  view.say(tr(Msg::summary_baselines, fixed(b.uniform, 3), fixed(b.unigram, 3), fixed(b.bigram, 3),
              fixed(b.xz, 3)));
}

// Which checkpoint is the one to use, when it is not the last.
void say_best(std::int64_t step, const std::string& directory, RunView& view) {
  const std::string best = read_pointer(directory + "/best");
  if (step < 0) return;
  view.say(best.empty() ? tr(Msg::best_checkpoint_not_kept, step)
                        : tr(Msg::best_checkpoint_is, step, directory + "/" + best, directory));
}

}  // namespace

std::string flags_for_longer(Trainer& trainer) {
  const TrainConfig& t = trainer.config().train;
  std::string flags;
  const auto add = [&](const char* flag, std::int64_t value) {
    if (!flags.empty()) flags += ' ';
    flags.append(flag).append(" ").append(to_text(value));
  };
  if (t.max_iters > 0) add("--max-iters", 2 * std::max(t.max_iters, trainer.steps_done()));
  if (t.epochs > 0 || t.max_iters == 0) {
    const std::int64_t twice_done = std::llround(2 * trainer.epochs_after(trainer.steps_done()));
    add("--epochs", std::max({std::int64_t{1}, twice_done, 2 * t.epochs}));
  }
  return flags;
}

std::string absolute_paths(const std::vector<std::string>& paths) {
  std::string joined;
  for (const std::string& path : paths) {
    joined += (joined.empty() ? "" : "\n") +
              (path == "-" ? path : std::filesystem::absolute(path).lexically_normal().string());
  }
  return joined;
}

std::vector<std::string> corpus_paths(const Config& config) {
  std::vector<std::string> paths;
  const std::string& joined = config.text.corpus;
  for (std::size_t begin = 0; begin <= joined.size() && !joined.empty();) {
    const std::size_t end = std::min(joined.find('\n', begin), joined.size());
    paths.push_back(joined.substr(begin, end - begin));
    begin = end + 1;
  }
  return paths;
}

Dataset read_corpus(const Config& config, const std::string& directory) {
  const auto progress = [](std::int64_t done, std::int64_t total) {
    throw_if_interrupted();
    const double fraction = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 0;
    draw_progress_line(tr(Msg::reading_corpus) + " " + progress_bar(fraction, 10) + " " + megabytes(done) +
                       " MB");
  };
  Dataset dataset = prepare_dataset(corpus_paths(config), config.text,
                                    static_cast<std::uint64_t>(config.train.seed), directory, progress);
  end_progress_line();
  say_corpus(dataset);
  return dataset;
}

void ProfileOptions::add(CLI::App& app) {
  const std::string general = tr(Msg::group_general);
  app.add_option("--profile", path, tr(Msg::help_profile))->type_name("FILE")->group(general);
  add_integer(app, "--profile-steps", steps, 1, 1000, Msg::help_profile_steps)
      ->default_str(to_text(kProfileSteps))
      ->group(general);
}

std::unique_ptr<Profile> ProfileOptions::make() const {
  if (path.empty() && steps > 0) throw ConfigError(tr(Msg::profile_steps_alone));
  if (path.empty()) return nullptr;
  return std::make_unique<Profile>(path, steps > 0 ? steps : kProfileSteps);
}

int run_training(Trainer& trainer, Dataset& dataset, const std::string& directory, Profile* profile) {
  RunView view(directory);
  trainer.set_command(command_line());
  TrainingRun run(trainer, directory, view);
  if (profile) run.watch(*profile);
  say_plan(trainer, view);
  const TrainingRun::Outcome outcome = run.run(stop_signal);
  end_progress_line();

  switch (outcome) {
    case TrainingRun::Outcome::finished:
      view.say(tr(Msg::finished, trainer.steps_done()));
      break;
    case TrainingRun::Outcome::patience:
      view.say(tr(Msg::stopped_patience, trainer.steps_done()));
      say_best(trainer.evaluations().best_step, directory, view);
      break;
    case TrainingRun::Outcome::time_up:
      view.say(tr(Msg::stopped_time, trainer.steps_done()));
      break;
    case TrainingRun::Outcome::signalled:
      break;
  }
  view.say(tr(Msg::saved, run.last_checkpoint()));
  if (outcome == TrainingRun::Outcome::signalled) {
    view.say(tr(Msg::stopped_signal, directory));
    return 128 + stop_signal.load();
  }
  const EvaluationState& e = trainer.evaluations();
  if (e.best_step >= 0) say_baselines(e.best_val_loss, dataset, view);
  if (outcome == TrainingRun::Outcome::time_up) view.say(tr(Msg::next_resume, directory));
  view.say(tr(Msg::next_steps, directory, flags_for_longer(trainer)));
  return 0;
}

}  // namespace zhgpt::cli
