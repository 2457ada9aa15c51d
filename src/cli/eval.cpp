// zhgpt eval DIR|FILE CORPUS...: how well a model predicts a text, beside simpler predictors of the same text.
#include <cmath>
#include <iostream>
#include <memory>
#include <numbers>

#include "cli/console.h"
#include "cli/loaded_model.h"
#include "cli/options.h"
#include "cli/program.h"
#include "zhgpt/error.h"
#include "zhgpt/trainer.h"

namespace zhgpt::cli {
namespace {

constexpr std::int64_t kBatch = 8;

struct EvalArguments {
  std::string from_path;
  std::vector<std::string> corpus;
  std::string which = "last";
  std::string device = "auto";
  std::int64_t threads = 0;
};

// Columns line up by display width, whatever the language.
void print_row(const std::string& name, const std::string& loss, const std::string& perplexity, const std::string& bits) {
  constexpr int kFirst = 10, kOthers = 12;
  std::cout << name << padding(name, kFirst);
  for (const std::string& cell : {loss, perplexity, bits}) std::cout << padding(cell, kOthers) << cell;
  std::cout << "\n";
}

void print_row(const std::string& name, double loss) {
  print_row(name, fixed(loss, 4), fixed(std::exp(loss), 2), fixed(loss / std::numbers::ln2, 4));
}

int eval(const EvalArguments& arguments) {
  if (arguments.from_path.empty()) throw ConfigError(tr(Msg::no_run_given, "eval"));
  if (arguments.corpus.empty()) throw ConfigError(tr(Msg::no_corpus_given));
  LoadedModel loaded(arguments.from_path, arguments.which, arguments.device, arguments.threads, kBatch);
  CorpusReport report;
  const TokenArray tokens = tokenize_corpus(arguments.corpus, loaded.config.text, loaded.vocab, &report);
  if (tokens.count < 2) throw DataError(tr(Msg::nothing_to_evaluate, tokens.count));
  const EvaluationResult result = evaluate_tokens(*loaded.model, kBatch, tokens, 0);
  const Baselines b = compute_baselines({}, tokens, loaded.vocab);

  std::cerr << tr(Msg::evaluated_text, result.tokens, report.documents, report.unknown_val, loaded.checkpoint.path()) << "\n";
  print_row("", tr(Msg::column_loss), tr(Msg::column_perplexity), tr(Msg::column_bits));
  print_row(tr(Msg::row_model), result.loss);
  print_row(tr(Msg::row_uniform), b.uniform);
  print_row(tr(Msg::row_unigram), b.unigram);
  print_row(tr(Msg::row_bigram), b.bigram);
  print_row("xz", b.xz);
  return 0;
}

}  // namespace

void add_eval(CLI::App& app, Action& action) {
  auto a = std::make_shared<EvalArguments>();
  CLI::App* verb = app.add_subcommand("eval", tr(Msg::help_eval));
  verb->add_option("DIR|FILE", a->from_path, tr(Msg::help_run_argument))->type_name("");
  verb->add_option("CORPUS", a->corpus, tr(Msg::help_corpus_argument))->type_name("");
  verb->add_option("--from", a->which, tr(Msg::help_from))->type_name("last|best|epoch:N|v:NAME")->default_str(a->which)->group(tr(Msg::group_general));
  verb->add_option("--device", a->device, tr(Msg::help_device))->type_name("TEXT")->group(tr(Msg::group_general));
  add_integer(*verb, "--threads", a->threads, 0, 1024, Msg::help_threads)->group(tr(Msg::group_general));
  verb->callback([a, &action] { action = [a] { return eval(*a); }; });
}

}  // namespace zhgpt::cli
