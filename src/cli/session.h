// What train and resume share: reading the corpus with a progress line, training with a view, and the last
// words.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "zhgpt/profile.h"
#include "zhgpt/training_run.h"

namespace zhgpt::cli {

// As config.text.corpus holds them: what resume will read again must not depend on where it is called from.
std::string absolute_paths(const std::vector<std::string>& paths);
std::vector<std::string> corpus_paths(const Config& config);  // config.text.corpus, one each

// prepare_dataset with a progress line and a report of what was read.
Dataset read_corpus(const Config& config, const std::string& directory);

// --profile and --profile-steps.
struct ProfileOptions {
  std::string path;
  std::int64_t steps = 0;  // 0: not given
  void add(CLI::App& app);
  // nullptr when none is wanted. Throws ConfigError, IoError.
  std::unique_ptr<Profile> make() const;
};

// Trains to the end of the plan or to a signal, says how it went and what to do next; returns the exit code.
int run_training(Trainer& trainer, Dataset& dataset, const std::string& directory, Profile* profile);

// The flags that double a run's plan: "--epochs 20" or, for one limited by steps, "--max-iters 600".
std::string flags_for_longer(Trainer& trainer);

}  // namespace zhgpt::cli
