// zhgpt eval DIR|FILE [CORPUS...]: how well a model predicts a text, beside simpler predictors of the same
// text, and which documents it finds hardest.
#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <numbers>

#include "base/record_json.h"
#include "cli/console.h"
#include "cli/loaded_model.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/table.h"
#include "zhgpt/error.h"
#include "zhgpt/trainer.h"

namespace zhgpt::cli {
namespace {

constexpr std::int64_t kBatch = 8;
constexpr std::int64_t kBeginning = 20;  // characters of a document that stand for it

struct EvalArguments {
  std::string from_path;
  std::vector<std::string> corpus;
  std::string which = "last";
  std::int64_t worst = 0;
  bool json = false;
  std::string device = "auto";
  std::int64_t threads = 0;
};

struct Text {
  TokenArray tokens;
  std::int64_t documents = 0, unknown = 0;
};

// The documents of a text and what the model needs for each; the mark that ends one belongs to it.
struct Document {
  std::int64_t begin = 0, end = 0;  // tokens
  double nats = 0;                  // of all that were predicted
  std::int64_t predicted = 0;

  double bits() const { return nats / static_cast<double>(predicted) / std::numbers::ln2; }
};

std::vector<Document> documents_of(const TokenArray& tokens) {
  std::vector<Document> documents;
  for (std::int64_t begin = 0, i = 0; i < tokens.count; ++i) {
    if (tokens[i] != kEndOfTextId && i + 1 < tokens.count) continue;
    documents.push_back({.begin = begin, .end = i + 1});
    begin = i + 1;
  }
  return documents;
}

Text text_of_run(std::optional<Dataset>& run, const EvalArguments& arguments, const Checkpoint& checkpoint) {
  if (!run || run->val.count < 2)
    throw DataError(tr(Msg::no_validation_here, checkpoint.path(), arguments.from_path));
  const std::int64_t documents = std::ssize(documents_of(run->val));
  return {std::move(run->val), documents, run->report.unknown_val};
}

Text text_of(const EvalArguments& arguments, const LoadedModel& loaded) {
  CorpusReport report;
  TokenArray tokens = tokenize_corpus(arguments.corpus, loaded.config.text, loaded.vocab, &report);
  if (tokens.count < 2) throw DataError(tr(Msg::nothing_to_evaluate, tokens.count));
  return {std::move(tokens), report.documents, report.unknown_val};
}

// The hardest first; of equal ones the earlier.
std::vector<Document> hardest(std::vector<Document> documents, std::int64_t count) {
  std::erase_if(documents, [](const Document& d) { return d.predicted == 0; });
  std::ranges::stable_sort(documents,
                           [](const Document& a, const Document& b) { return a.bits() > b.bits(); });
  documents.resize(std::min(documents.size(), static_cast<std::size_t>(count)));
  return documents;
}

std::string beginning(const Document& d, const TokenArray& tokens, const Vocabulary& vocab) {
  std::string text;
  for (std::int64_t i = d.begin; i < std::min(d.end, d.begin + kBeginning); ++i) {
    const std::string character = vocab.text(tokens[i]);
    text += character == "\n" ? " / " : character;
  }
  return text;
}

int eval(const EvalArguments& arguments) {
  if (arguments.from_path.empty()) throw ConfigError(tr(Msg::no_run_given, "eval"));
  LoadedModel loaded(arguments.from_path, arguments.which, arguments.device, arguments.threads, kBatch);
  std::optional<Dataset> run = dataset_beside(loaded.checkpoint);
  const Text text =
      arguments.corpus.empty() ? text_of_run(run, arguments, loaded.checkpoint) : text_of(arguments, loaded);

  std::vector<Document> documents = documents_of(text.tokens);
  auto document = documents.begin();
  const EvaluationResult result = evaluate_tokens(*loaded.model, kBatch, text.tokens, 0,
                                                  [&](std::int64_t index, double loss, std::int32_t) {
                                                    while (index >= document->end) ++document;
                                                    document->nats += loss;
                                                    ++document->predicted;
                                                  });
  documents = hardest(std::move(documents), arguments.worst);

  const TokenArray known = run ? std::move(run->train) : TokenArray{};
  const Baselines b = compute_baselines(known, text.tokens, loaded.vocab);
  const double five_gram = five_gram_nats(known, text.tokens, loaded.vocab.size());
  struct Row {
    const char* key;
    std::string name;
    double nats;
  };
  const std::vector<Row> rows{
      {"model", tr(Msg::row_model), result.loss},       {"uniform", tr(Msg::row_uniform), b.uniform},
      {"unigram", tr(Msg::row_unigram), b.unigram},     {"bigram", tr(Msg::row_bigram), b.bigram},
      {"five_gram", tr(Msg::row_five_gram), five_gram}, {"xz", "xz", b.xz}};

  if (arguments.json) {
    Json out;
    out["checkpoint"] = loaded.checkpoint.path();
    out["step"] = loaded.checkpoint.step();
    out["characters"] = result.tokens;
    out["documents"] = text.documents;
    out["unknown"] = text.unknown;
    out["loss"] = result.loss;
    out["perplexity"] = std::exp(result.loss);
    out["accuracy_1"] = result.accuracy;
    out["accuracy_5"] = result.accuracy_5;
    out["baselines_read"] = known.count;
    for (const Row& row : rows) out["bits_per_character"][row.key] = row.nats / std::numbers::ln2;
    out["worst"] = Json::array();
    for (const Document& d : documents) {
      out["worst"].push_back({{"bits_per_character", d.bits()},
                              {"characters", d.predicted},
                              {"begins", beginning(d, text.tokens, loaded.vocab)}});
    }
    std::cout << out.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
    return 0;
  }
  std::cerr << tr(Msg::evaluated_text, result.tokens, text.documents, text.unknown, loaded.checkpoint.path())
            << "\n"
            << (known.count > 0 ? tr(Msg::baselines_read, known.count) : tr(Msg::baselines_read_nothing))
            << "\n";
  std::vector<std::vector<std::string>> cells{
      {"", tr(Msg::column_loss), tr(Msg::column_perplexity), tr(Msg::column_bits)}};
  for (const Row& row : rows) {
    cells.push_back(
        {row.name, fixed(row.nats, 4), fixed(std::exp(row.nats), 2), fixed(row.nats / std::numbers::ln2, 4)});
  }
  std::cout << table(cells, "lrrr")
            << tr(Msg::accuracies, fixed(100 * result.accuracy, 2), fixed(100 * result.accuracy_5, 2))
            << "\n";
  if (documents.empty()) return 0;
  cells = {{tr(Msg::column_bits), tr(Msg::column_characters), tr(Msg::column_begins)}};
  for (const Document& d : documents) {
    cells.push_back(
        {fixed(d.bits(), 4), std::to_string(d.predicted), beginning(d, text.tokens, loaded.vocab)});
  }
  std::cout << "\n" << tr(Msg::worst_heading) << "\n" << table(cells, "rrl");
  return 0;
}

}  // namespace

void add_eval(CLI::App& app, Action& action) {
  auto a = std::make_shared<EvalArguments>();
  CLI::App* verb = app.add_subcommand("eval", tr(Msg::help_eval));
  const std::string general = tr(Msg::group_general);
  verb->add_option("DIR|FILE", a->from_path, tr(Msg::help_run_argument))->type_name("");
  verb->add_option("CORPUS", a->corpus, tr(Msg::help_eval_corpus))->type_name("");
  verb->add_option("--from", a->which, tr(Msg::help_from))
      ->type_name("last|best|epoch:N|v:NAME")
      ->default_str(a->which)
      ->group(general);
  add_integer(*verb, "--worst", a->worst, 0, 1'000'000'000, Msg::help_worst)->group(general);
  verb->add_flag("--json", a->json, tr(Msg::help_json))->group(general);
  verb->add_option("--device", a->device, tr(Msg::help_device))->type_name("TEXT")->group(general);
  add_integer(*verb, "--threads", a->threads, 0, 1024, Msg::help_threads)->group(general);
  verb->callback([a, &action] { action = [a] { return eval(*a); }; });
}

}  // namespace zhgpt::cli
