// zhgpt train CORPUS... --out-dir DIR
#include <filesystem>
#include <iostream>
#include <memory>
#include <random>

#include "cli/console.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/session.h"
#include "train/run_directory.h"
#include "zhgpt/error.h"
#include "zhgpt/plan.h"

namespace zhgpt::cli {
namespace {

namespace fs = std::filesystem;

struct TrainArguments {
  std::vector<std::string> corpus;
  std::string out_dir = "out";
  ProfileOptions profile;
  ConfigOptions config;
};

RunId new_run_id() {
  RunId id;
  std::random_device entropy;
  for (std::uint8_t& byte : id) byte = static_cast<std::uint8_t>(entropy());
  return id;
}

int train(const TrainArguments& arguments) {
  Config config = arguments.config.resolve();
  if (!arguments.corpus.empty()) config.text.corpus = absolute_paths(arguments.corpus);
  if (config.text.corpus.empty()) throw ConfigError(tr(Msg::no_corpus_given));
  for (std::string* path : {&config.text.val_corpus, &config.text.vocab}) {
    if (!path->empty()) *path = fs::absolute(*path).lexically_normal().string();
  }
  const auto backend = make_backend(config.train);

  NewRunDirectory directory(arguments.out_dir);
  if (has_checkpoints(arguments.out_dir)) throw ConfigError(tr(Msg::run_exists, arguments.out_dir));

  const auto profile = arguments.profile.make();

  Dataset dataset = read_corpus(config, arguments.out_dir);
  config.model.vocab_size = dataset.vocab.size();
  const auto trainer = make_trainer(*backend, config, dataset);
  trainer->set_run_id(new_run_id());
  directory.keep();
  return run_training(*trainer, dataset, arguments.out_dir, profile.get());
}

}  // namespace

void add_train(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<TrainArguments>();
  CLI::App* verb = app.add_subcommand("train", tr(Msg::help_train));
  verb->add_option("CORPUS", arguments->corpus, tr(Msg::help_corpus_argument))->type_name("");
  verb->add_option("-o,--out-dir", arguments->out_dir, tr(Msg::help_out_dir))
      ->type_name("DIR")
      ->default_str(arguments->out_dir)
      ->group(tr(Msg::group_general));
  arguments->profile.add(*verb);
  arguments->config.add_all(*verb);
  verb->callback([arguments, &action] { action = [arguments] { return train(*arguments); }; });
}

}  // namespace zhgpt::cli
