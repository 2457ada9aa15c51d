// zhgpt ckpt extend FILE --corpus NEW... -o OUT: the same model with a larger vocabulary.
#include <filesystem>
#include <iostream>
#include <memory>

#include "cli/ckpt.h"
#include "train/extend_vocabulary.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/dataset.h"
#include "zhgpt/error.h"
#include "zhgpt/training_run.h"

namespace zhgpt::cli {
namespace {

namespace fs = std::filesystem;

struct ExtendArguments {
  std::string path, output;
  std::string which = "last";
  std::vector<std::string> corpus;
  bool overwrite = false;
};

int extend(const ExtendArguments& arguments) {
  if (arguments.path.empty()) throw ConfigError(tr(Msg::no_run_given, "ckpt extend"));
  if (arguments.corpus.empty()) throw ConfigError(tr(Msg::no_corpus_given));
  if (arguments.output.empty()) throw ConfigError(tr(Msg::extend_no_output, arguments.path));
  if (!fs::exists(arguments.path)) throw IoError(tr(Msg::no_such_path, arguments.path));
  const Checkpoint checkpoint = open_run_checkpoint(arguments.path, arguments.which);
  const Config config = config_of(checkpoint);
  const Vocabulary vocab = Vocabulary::from_code_points(checkpoint.vocab());
  const CharacterCounts counts = count_characters(arguments.corpus, config.text);
  const std::vector<std::int32_t> added = missing_characters(vocab, counts, config.text.min_count);
  if (added.empty()) throw DataError(tr(Msg::extend_nothing_new, checkpoint.path()));

  const fs::path directory = fs::absolute(arguments.output).parent_path();
  if (!fs::exists(directory)) prepare_directory(directory);
  save_checkpoint(arguments.output, extend_vocabulary(checkpoint, added), arguments.overwrite);
  std::cout << tr(Msg::extended, arguments.output, vocab.size(), vocab.size() + std::ssize(added),
                  characters_text(added))
            << "\n"
            << tr(Msg::extended_next, arguments.output, joined(arguments.corpus, " ")) << "\n";
  return 0;
}

}  // namespace

void add_ckpt_extend(CLI::App& ckpt, Action& action) {
  auto a = std::make_shared<ExtendArguments>();
  CLI::App* verb = ckpt.add_subcommand("extend", tr(Msg::help_ckpt_extend));
  verb->add_option("DIR|FILE", a->path, tr(Msg::help_run_argument))->type_name("");
  verb->add_option("--from", a->which, tr(Msg::help_from))
      ->type_name("last|best|epoch:N|v:NAME")
      ->default_str(a->which)
      ->group(tr(Msg::group_general));
  verb->add_option("--corpus", a->corpus, tr(Msg::help_ckpt_new_corpus))
      ->type_name("PATH")
      ->group(tr(Msg::group_general));
  verb->add_option("-o,--output", a->output, tr(Msg::help_ckpt_output))
      ->type_name("FILE")
      ->group(tr(Msg::group_general));
  verb->add_flag("--overwrite", a->overwrite, tr(Msg::help_overwrite))->group(tr(Msg::group_general));
  verb->callback([a, &action] { action = [a] { return extend(*a); }; });
}

}  // namespace zhgpt::cli
