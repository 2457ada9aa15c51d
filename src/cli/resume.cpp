// zhgpt resume DIR|FILE: a run goes on as if it had never stopped.
#include <filesystem>
#include <iostream>
#include <memory>

#include "base/fingerprint.h"
#include "cli/console.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/session.h"
#include "train/state_transfer.h"
#include "zhgpt/error.h"
#include "zhgpt/plan.h"

namespace zhgpt::cli {
namespace {

namespace fs = std::filesystem;

struct ResumeArguments {
  std::string from_path;  // DIR or FILE
  std::string which = "last";
  std::vector<std::string> corpus;  // where it is now, when it has moved
  bool corpus_changed = false;
  ProfileOptions profile;
  ConfigOptions config;
};

// The text that the run was trained on. The token cache serves when the sources are gone; when they are there
// they must be the same, unless the user says that another corpus is meant, which is then read with the old
// vocabulary.
Dataset dataset_for(Config& config, const Checkpoint& checkpoint, const std::string& directory,
                    bool corpus_changed) {
  const std::uint64_t fingerprint = parse_fingerprint(checkpoint.progress().get_quoted("corpus_fingerprint"));
  const auto seed = static_cast<std::uint64_t>(config.train.seed);
  const SourceState sources = compare_sources(corpus_paths(config), config.text, seed, directory);
  if (!corpus_changed) {
    if (sources == SourceState::changed) throw DataError(tr(Msg::corpus_differs, directory));
    if (sources == SourceState::missing) std::cerr << tr(Msg::corpus_gone, directory) << "\n";
    if (sources == SourceState::no_cache)
      read_corpus(config, directory);  // made again, and judged by its fingerprint
    return load_dataset(directory, fingerprint);
  }
  const std::string vocab_path = directory + "/vocab.json";
  write_text_file(vocab_path, Vocabulary::from_code_points(checkpoint.vocab()).to_json());
  config.text.vocab = fs::absolute(vocab_path).lexically_normal().string();
  return read_corpus(config, directory);
}

int resume(const ResumeArguments& arguments) {
  if (arguments.from_path.empty()) throw ConfigError(tr(Msg::no_run_given, "resume"));
  if (!fs::exists(arguments.from_path)) throw IoError(tr(Msg::no_such_path, arguments.from_path));
  const bool is_directory = fs::is_directory(arguments.from_path);
  const std::string directory =
      is_directory ? arguments.from_path : fs::absolute(arguments.from_path).parent_path().string();
  prepare_directory(directory);
  const DirectoryLock lock(directory);

  std::vector<std::string> notes;
  const Checkpoint checkpoint = open_run_checkpoint(arguments.from_path, arguments.which, &notes);
  for (const std::string& note : notes) std::cerr << note << "\n";
  const Config saved = config_of(checkpoint);
  // Before anything is written beside a file that no run can go on from.
  require_tensors(checkpoint, ParameterTable(saved.model),
                  {SectionKind::parameter, SectionKind::adam_m, SectionKind::adam_v}, Precision::f32);
  std::vector<std::string> changes;
  Config config = arguments.config.resolve_over(saved, &changes);
  if (!arguments.corpus.empty()) config.text.corpus = absolute_paths(arguments.corpus);
  const auto profile = arguments.profile.make();
  const auto backend = make_backend(config.train);
  Dataset dataset = dataset_for(config, checkpoint, directory, arguments.corpus_changed);
  if (dataset.vocab.code_points() != checkpoint.vocab())
    throw DataError(tr(Msg::vocab_differs, checkpoint.path()));

  const auto owner = make_trainer(*backend, config, dataset, &checkpoint);
  Trainer& trainer = *owner;
  std::cerr << tr(Msg::resuming, checkpoint.path(), trainer.steps_done(),
                  fixed(trainer.epochs_after(trainer.steps_done()), 2),
                  fixed(static_cast<double>(trainer.state().loss), 4))
            << "\n";
  if (const std::int64_t best = checkpoint.progress().get_integer("best_step");
      best >= 0 && trainer.evaluations().best_step < 0)
    std::cerr << tr(Msg::best_of_another_corpus, best) << "\n";
  for (const std::string& change : changes) std::cerr << "  " << change << "\n";
  if (trainer.steps_done() >= trainer.total_steps()) {
    throw ConfigError(tr(Msg::nothing_left, trainer.steps_done(), trainer.total_steps(), arguments.from_path,
                         flags_for_longer(trainer)));
  }
  return run_training(trainer, dataset, directory, profile.get());
}

}  // namespace

void add_resume(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<ResumeArguments>();
  CLI::App* verb = app.add_subcommand("resume", tr(Msg::help_resume));
  verb->add_option("DIR|FILE", arguments->from_path, tr(Msg::help_run_argument))->type_name("");
  verb->add_option("--from", arguments->which, tr(Msg::help_from))
      ->type_name("last|best|epoch:N|v:NAME")
      ->default_str(arguments->which)
      ->group(tr(Msg::group_general));
  verb->add_option("--corpus", arguments->corpus, tr(Msg::help_corpus_moved))
      ->type_name("PATH")
      ->group(tr(Msg::group_general));
  verb->add_flag("--corpus-changed", arguments->corpus_changed, tr(Msg::help_corpus_changed))
      ->group(tr(Msg::group_general));
  arguments->profile.add(*verb);
  arguments->config.add_resumable(*verb);
  verb->callback([arguments, &action] { action = [arguments] { return resume(*arguments); }; });
}

}  // namespace zhgpt::cli
