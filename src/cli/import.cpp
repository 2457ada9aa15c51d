// zhgpt import DIR|FILE -o OUT.bin: a model of another program becomes a checkpoint.
#include <iostream>
#include <memory>

#include "cli/program.h"
#include "zhgpt/config.h"
#include "zhgpt/error.h"
#include "zhgpt/interop.h"

namespace zhgpt::cli {
namespace {

struct ImportArguments {
  std::string source, output, vocabulary;
  bool overwrite = false;
};

int import(const ImportArguments& arguments) {
  if (arguments.source.empty()) throw ConfigError(tr(Msg::interop_no_source, "import", "DIR -o model.bin"));
  if (arguments.output.empty()) throw ConfigError(tr(Msg::interop_no_output, "import"));
  const Imported imported = import_model(arguments.source, arguments.vocabulary);
  save_checkpoint(arguments.output, imported.snapshot, arguments.overwrite);
  for (const std::string& note : imported.notes) std::cerr << note << "\n";
  const Config config = Config::from_key_values(imported.snapshot.config);
  const ModelConfig& m = config.model;
  std::cerr << tr(Msg::interop_imported, arguments.source, arguments.output, m.n_layer, m.n_head, m.n_embd,
                  m.block_size, m.vocab_size)
            << "\n";
  return 0;
}

}  // namespace

void add_import(CLI::App& app, Action& action) {
  auto a = std::make_shared<ImportArguments>();
  CLI::App* verb = app.add_subcommand("import", tr(Msg::help_import));
  const std::string general = tr(Msg::group_general);
  verb->add_option("DIR|FILE", a->source, tr(Msg::help_import_argument))->type_name("");
  verb->add_option("-o,--output", a->output, tr(Msg::help_import_output))->type_name("FILE")->group(general);
  verb->add_option("--vocab", a->vocabulary, tr(Msg::help_import_vocab))->type_name("FILE")->group(general);
  verb->add_flag("--overwrite", a->overwrite, tr(Msg::help_interop_overwrite))->group(general);
  verb->callback([a, &action] { action = [a] { return import(*a); }; });
}

}  // namespace zhgpt::cli
