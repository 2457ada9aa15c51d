// Preparing a dataset: corpus -> split -> vocabulary -> token arrays -> corpus.tokens. See zhgpt/dataset.h.
#include "zhgpt/dataset.h"

#include <utf8proc.h>
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>

#include "text/corpus.h"
#include "text/split.h"
#include "text/token_cache.h"
#include "text/token_file.h"
#include "text/utf8.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

// Raised when the same bytes and the same settings begin to give other tokens, so that older caches are not
// used.
constexpr int kRulesVersion = 1;

constexpr char32_t kDocumentEnd = kLastCharacter + 1;  // stands for <|endoftext|> beside characters
constexpr std::size_t kTableSize = kDocumentEnd + 1;

constexpr Split kAllTraining{};
const Split kAllValidation{{}, 0};

// Calls use(is validation, characters) for the tokens of the corpus in order, in pieces; the end of a
// document is a piece of its own, kDocumentEnd.
template <class Use>
void for_each_piece(Corpus& corpus, const Split& split, Use use) {
  static constexpr char32_t kEnd[] = {kDocumentEnd};
  std::int64_t token = 0;
  corpus.for_each_document([&](std::int64_t document, std::span<const char32_t> text) {
    for (std::span<const char32_t> rest = text.empty() ? kEnd : text; !rest.empty();) {
      const auto size = static_cast<std::size_t>(split.same_side(token, std::ssize(rest)));
      use(split.in_validation(document, token), rest.first(size));
      token += static_cast<std::int64_t>(size);
      rest = rest.subspan(size);
    }
  });
}

// Ids by character; a table, because each character of the corpus is looked up.
std::vector<std::int32_t> id_table(const Vocabulary& vocab) {
  std::vector<std::int32_t> ids(kTableSize, kUnknownId);
  for (std::int32_t id = 2; id < vocab.size(); ++id) {
    ids[static_cast<std::size_t>(vocab.code_points()[static_cast<std::size_t>(id)])] = id;
  }
  ids[kDocumentEnd] = kEndOfTextId;
  return ids;
}

struct SideCounts {
  std::int64_t val_documents = 0;
  CharacterCounts train_characters;
};

SideCounts count_characters(Corpus& corpus, const Split& split) {
  SideCounts counts;
  std::vector<std::int64_t> occurrences(kTableSize);
  for_each_piece(corpus, split, [&](bool is_val, std::span<const char32_t> characters) {
    if (is_val) {
      counts.val_documents += characters[0] == kDocumentEnd;
    } else {
      for (const char32_t c : characters) ++occurrences[c];
    }
  });
  for (char32_t c = 0; c < kDocumentEnd; ++c) {
    if (occurrences[c] > 0) counts.train_characters.emplace(c, occurrences[c]);
  }
  return counts;
}

// Passes on progress a few times a second.
class Progress {
 public:
  Progress(const ProgressFunction& report, std::int64_t total) : report_(report), total_(total) {}
  void add(std::int64_t bytes) {
    done_ += bytes;
    const auto now = std::chrono::steady_clock::now();
    if (!report_ || now < next_) return;
    report_(done_, total_);
    next_ = now + std::chrono::milliseconds(250);
  }
  BytesReadFunction callback() {
    return [this](std::int64_t bytes) { add(bytes); };
  }

 private:
  const ProgressFunction& report_;
  std::int64_t total_, done_ = 0;
  std::chrono::steady_clock::time_point next_{};
};

struct Inputs {
  SourceList train, val;
  std::optional<Vocabulary> vocab;
  std::uint64_t rules = 0;

  std::int64_t bytes() const {
    std::int64_t sum = 0;
    for (const SourceList* list : {&train, &val}) {
      for (const Source& source : list->sources) sum += source.bytes;
    }
    return sum;
  }
};

std::uint64_t hash_rules(const TextConfig& text, const std::optional<Vocabulary>& vocab, std::uint64_t seed) {
  KeyValues rules;
  rules.set_integer("rules_version", kRulesVersion);
  rules.set_quoted("unicode", utf8proc_unicode_version());
  rules.set_quoted("text_field", text.text_field);
  rules.set_quoted("encoding", text.encoding);
  rules.set_quoted("normalize", text.normalize);
  rules.set_quoted("on_invalid", text.on_invalid);
  rules.set_quoted("document", text.document);
  rules.set_real("val_fraction", text.val_fraction);
  rules.set_integer("min_count", text.min_count);
  rules.set_quoted("seed", std::to_string(seed));
  if (vocab) rules.set_quoted("vocab", vocab->to_json());
  const std::string record = rules.to_string();
  return XXH3_64bits(record.data(), record.size());
}

Inputs gather_inputs(const std::vector<std::string>& paths, const TextConfig& text, std::uint64_t seed,
                     const std::string& run_dir, const BytesReadFunction& on_read = {}) {
  Inputs inputs;
  if (!text.vocab.empty()) inputs.vocab = Vocabulary::load(text.vocab);
  inputs.rules = hash_rules(text, inputs.vocab, seed);
  inputs.train = list_sources(paths, run_dir, on_read);
  if (!text.val_corpus.empty()) inputs.val = list_sources({text.val_corpus}, run_dir, on_read);
  return inputs;
}

bool same_sources(const SourceList& list, const std::vector<SourceIdentity>& known, Progress& progress) {
  if (list.sources.size() != known.size()) return false;
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (list.sources[i].bytes != known[i].bytes) return false;
  }
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (!identify(list.sources[i], progress.callback()).same_content(known[i])) return false;
  }
  return true;
}

bool made_from(const TokenCache& cache, const Inputs& inputs, Progress& progress) {
  return cache.rules == inputs.rules && same_sources(inputs.train, cache.train_sources, progress) &&
         same_sources(inputs.val, cache.val_sources, progress);
}

std::optional<Dataset> dataset_from_cache(const Inputs& inputs, const std::string& path,
                                          const ProgressFunction& report) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  try {
    TokenCache cache = read_token_cache(path);
    Progress progress(report, inputs.bytes());
    if (!made_from(cache, inputs, progress)) return std::nullopt;
    cache.dataset.report.from_cache = true;
    return std::move(cache.dataset);
  } catch (const DataError&) {
    return std::nullopt;  // damaged: the sources are here, so it is made again
  }
}

std::string temporary_directory() {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::temp_directory_path(error);
  if (error) throw IoError(tr(Msg::scratch_failed, "TMPDIR", error.message()));
  return path;
}

// Adds what was seen in the validation files to the report.
void add_report(CorpusReport& report, const CorpusReport& more) {
  report.files += more.files;
  report.documents += more.documents;
  report.characters += more.characters;
  report.source_bytes += more.source_bytes;
  report.invalid_sequences += more.invalid_sequences;
  report.dropped_controls += more.dropped_controls;
  report.encodings.insert(report.encodings.end(), more.encodings.begin(), more.encodings.end());
  report.notes.insert(report.notes.end(), more.notes.begin(), more.notes.end());
}

}  // namespace

Dataset prepare_dataset(const std::vector<std::string>& paths, const TextConfig& text, std::uint64_t seed,
                        const std::string& run_dir, const ProgressFunction& report) {
  validate(text);
  Progress listing(report, 0);  // standard input has no size
  const Inputs inputs = gather_inputs(paths, text, seed, run_dir, listing.callback());
  if (auto cached = dataset_from_cache(inputs, token_cache_path(run_dir), report)) return std::move(*cached);

  // Finding out the encoding takes a reading of its own.
  Progress progress(report, inputs.bytes() * (text.encoding == "auto" ? 2 : 1));
  Corpus corpus(inputs.train, text, run_dir, progress.callback());
  TokenCache cache;
  cache.rules = inputs.rules;
  cache.train_sources = corpus.identities();
  Dataset& dataset = cache.dataset;
  dataset.report = corpus.report();
  dataset.fingerprint = text_hash(corpus, 0);

  std::optional<Corpus> val_corpus;
  if (!inputs.val.sources.empty()) {
    TextConfig val_text = text;
    val_text.document = corpus.document_rule();
    val_corpus.emplace(inputs.val, val_text, run_dir, progress.callback());
    cache.val_sources = val_corpus->identities();
    add_report(dataset.report, val_corpus->report());
    dataset.fingerprint = text_hash(*val_corpus, dataset.fingerprint);
  }
  const Split split =
      val_corpus ? kAllTraining : split_corpus(corpus, text.val_fraction, seed, dataset.report.notes);
  const SideCounts counts = count_characters(corpus, split);
  dataset.report.val_documents = val_corpus ? val_corpus->documents() : counts.val_documents;
  dataset.vocab = inputs.vocab ? *inputs.vocab : Vocabulary::build(counts.train_characters, text.min_count);

  const std::vector<std::int32_t> ids = id_table(dataset.vocab);
  const DType dtype = token_dtype(dataset.vocab.size());
  TokenFile train(run_dir, dtype), val(run_dir, dtype);
  const auto write = [&](bool is_val, std::span<const char32_t> characters) {
    const std::int64_t unknown = (is_val ? val : train).put(characters, ids);
    (is_val ? dataset.report.unknown_val : dataset.report.unknown_train) += unknown;
  };
  for_each_piece(corpus, split, write);
  if (val_corpus) for_each_piece(*val_corpus, kAllValidation, write);

  write_text_file(run_dir + "/vocab.json", dataset.vocab.to_json());
  write_token_cache(token_cache_path(run_dir), cache, train, val);
  dataset.train = train.array();
  dataset.val = val.array();
  return std::move(cache.dataset);
}

Dataset load_dataset(const std::string& run_dir, std::uint64_t fingerprint) {
  const std::string path = token_cache_path(run_dir);
  TokenCache cache = read_token_cache(path);
  if (cache.dataset.fingerprint != fingerprint) {
    throw DataError(tr(Msg::cache_other_text, path, cache.dataset.fingerprint, fingerprint));
  }
  cache.dataset.report.from_cache = true;
  return std::move(cache.dataset);
}

SourceState compare_sources(const std::vector<std::string>& paths, const TextConfig& text, std::uint64_t seed,
                            const std::string& run_dir) {
  const auto is_there = [](const std::string& path) { return path != "-" && std::filesystem::exists(path); };
  for (const std::string& path : {text.val_corpus, text.vocab}) {
    if (!path.empty() && !is_there(path)) return SourceState::missing;
  }
  if (!std::ranges::all_of(paths, is_there)) return SourceState::missing;
  TokenCache cache;
  try {
    cache = read_token_cache(token_cache_path(run_dir));
  } catch (const DataError&) {
    return SourceState::no_cache;
  }
  const Inputs inputs = gather_inputs(paths, text, seed, run_dir);
  const ProgressFunction quiet;
  Progress progress(quiet, inputs.bytes());
  return made_from(cache, inputs, progress) ? SourceState::same : SourceState::changed;
}

TokenArray tokenize_corpus(const std::vector<std::string>& paths, const TextConfig& text,
                           const Vocabulary& vocab, CorpusReport* report) {
  const std::string scratch_directory = temporary_directory();
  Corpus corpus(list_sources(paths, scratch_directory), text, scratch_directory);
  const std::vector<std::int32_t> ids = id_table(vocab);
  TokenFile tokens(scratch_directory, token_dtype(vocab.size()));
  std::int64_t unknown = 0;
  for_each_piece(corpus, kAllValidation,
                 [&](bool, std::span<const char32_t> characters) { unknown += tokens.put(characters, ids); });
  if (report) {
    *report = corpus.report();
    report->val_documents = report->documents;
    report->unknown_val = unknown;
  }
  return tokens.array();
}

CharacterCounts count_characters(const std::vector<std::string>& paths, const TextConfig& text) {
  const std::string scratch_directory = temporary_directory();
  Corpus corpus(list_sources(paths, scratch_directory), text, scratch_directory);
  return count_characters(corpus, kAllTraining).train_characters;
}

}  // namespace zhgpt
