// Dataset: a corpus made ready for training: a vocabulary and two token streams, training and validation.
//
// Preparing streams the text once into a scratch file, then counts, splits and writes the token cache
// (corpus.tokens) beside the run; memory does not grow with the text, but for 8 bytes a document. Documents
// go to validation by a hash of their text, so that the split does not depend on file order and equal
// documents stay together; with fewer than 20 documents the tail of the text is taken instead.
// `<|endoftext|>` follows each document.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "zhgpt/config.h"
#include "zhgpt/tensor.h"
#include "zhgpt/tokenizer.h"

namespace zhgpt {

// Token ids that nobody changes: u16 when the vocabulary allows, else i32. Those of a prepared corpus lie in
// a file that only this process can reach, and take memory only as they are read and while there is some.
DType token_dtype(std::int64_t vocab_size);
struct TokenArray {
  DType dtype = DType::u16;
  std::int64_t count = 0;
  std::shared_ptr<const std::byte> ids;

  std::span<const std::byte> bytes() const {
    return {ids.get(), static_cast<std::size_t>(count * dtype_bytes(dtype))};
  }
  // To be read only.
  Tensor tensor() const { return Tensor(const_cast<std::byte*>(ids.get()), dtype, {count}); }
  std::int32_t operator[](std::int64_t i) const;
};
// A copy of these ids, in memory.
TokenArray token_array(DType dtype, std::span<const std::byte> ids);

// What preparing saw, for the user to read.
struct CorpusReport {
  std::int64_t files = 0, documents = 0, characters = 0, source_bytes = 0;
  std::int64_t val_documents = 0;
  std::int64_t invalid_sequences = 0;               // replaced or skipped
  std::int64_t dropped_controls = 0;                // control characters other than \n and \t
  std::int64_t unknown_train = 0, unknown_val = 0;  // characters that became <unk>
  std::vector<std::string> encodings;               // "GB18030 (3 files)"
  std::string document_rule;                        // what `auto` settled on
  std::vector<std::string> notes;                   // sentences: files left out, how the split was mended
  bool from_cache = false;                          // corpus.tokens was used as it was
};

struct Dataset {
  Vocabulary vocab;
  TokenArray train, val;
  std::uint64_t fingerprint = 0;  // XXH3 of the normalised text, in order, with document boundaries
  CorpusReport report;
};

// bytes done, bytes in all (0 when not known), called a few times a second from the calling thread.
using ProgressFunction = std::function<void(std::int64_t done_bytes, std::int64_t total_bytes)>;

// Reads `paths` (files, directories in natural order, or "-") by the rules of `text`, and leaves vocab.json
// and corpus.tokens in run_dir. When corpus.tokens is already there and was made from the same bytes by the
// same rules, it is used instead. Throws DataError with file, line and byte, IoError, or ConfigError.
Dataset prepare_dataset(const std::vector<std::string>& paths, const TextConfig& text, std::uint64_t seed,
                        const std::string& run_dir, const ProgressFunction& progress = {});

// The same from corpus.tokens alone, checked by its hash. Throws DataError when it is missing, damaged or has
// another fingerprint.
Dataset load_dataset(const std::string& run_dir, std::uint64_t fingerprint);

// How the sources of a run compare with what its corpus.tokens was made from. Reads all of their bytes;
// changes nothing. missing: a source is not where it was (or was standard input). no_cache: there is no whole
// corpus.tokens to compare.
enum class SourceState { same, changed, missing, no_cache };
SourceState compare_sources(const std::vector<std::string>& paths, const TextConfig& text, std::uint64_t seed,
                            const std::string& run_dir);

// Reads a text by the rules of `text` and turns it into ids of `vocab`, documents separated by <|endoftext|>;
// for `zhgpt eval`. `report`, when given, receives the counts.
TokenArray tokenize_corpus(const std::vector<std::string>& paths, const TextConfig& text,
                           const Vocabulary& vocab, CorpusReport* report = nullptr);

// How often each character occurs in a text read by the rules of `text`; for `zhgpt ckpt extend`.
CharacterCounts count_characters(const std::vector<std::string>& paths, const TextConfig& text);

// What simpler models need for the same text, in nats a token: learned from `fit` (may be empty), then
// adaptively while reading `text`, as a compressor would. xz is the growth of the compressed UTF-8 when
// `text` follows `fit`.
struct Baselines {
  double uniform = 0, unigram = 0, bigram = 0, xz = 0;
};
Baselines compute_baselines(const TokenArray& fit, const TokenArray& text, const Vocabulary& vocab);

// The same of a 5-gram (interpolated Kneser-Ney, src/text/kneser_ney.h), which of all of them knows most and
// takes most: up to 400 MiB, seconds a million tokens. So it learns from the last kFiveGramTokens of `fit`
// and the first of `text` only: about as far as xz looks back.
inline constexpr std::int64_t kFiveGramTokens = 2'800'000;
double five_gram_nats(const TokenArray& fit, const TokenArray& text, std::int64_t vocab_size);

}  // namespace zhgpt
