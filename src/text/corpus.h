// Corpus: files read, decoded, cleaned and cut into documents, once, into scratch files.
//
//   bytes -> encoding -> line ends -> [JSONL: the record's field] -> controls, normal form -> text, document
//   ranges
//
// Memory is the same for every size of file, line and document; only a JSONL record is held whole (64 MiB at
// most). The result does not depend on how the bytes come in pieces.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/documents.h"
#include "text/normalize.h"
#include "text/scratch.h"
#include "text/source.h"
#include "zhgpt/config.h"
#include "zhgpt/dataset.h"

namespace zhgpt {

// What `document = auto` becomes once the corpus is known: blank lines, when they make this many documents of
// the text files, else one document a file.
inline constexpr std::int64_t kFewestBlocks = 20;

// Throws ConfigError when a choice in `text` is none of those allowed.
void validate(const TextConfig& text);

class Corpus {
 public:
  // Reads all sources. Throws DataError, IoError or ConfigError. Sets `report`, but for what concerns the
  // split.
  Corpus(const SourceList& list, const TextConfig& text, const std::string& scratch_directory,
         const BytesReadFunction& on_read = {}, std::size_t chunk_bytes = kChunkBytes);

  const CorpusReport& report() const { return report_; }
  const std::vector<SourceIdentity>& identities() const { return identities_; }
  // The rule that `auto` settled on, or the rule given: a value of TextConfig::document.
  const std::string& document_rule() const { return report_.document_rule; }
  std::int64_t documents() const { return ranges().size(); }
  // Characters of all documents, and the mark at the end of each.
  std::int64_t tokens() const { return report_.characters + documents(); }

  // use(document number, characters), a document in as many pieces as it takes; then use(number, {}) at its
  // end.
  template <class Use>
  void for_each_document(Use use) {
    std::int64_t number = 0;
    ranges().read(0, ranges().size(), [&](std::span<const DocumentRange> some) {
      for (const DocumentRange& range : some) {
        text_.read(range.begin, range.end,
                   [&](std::span<const char32_t> characters) { use(number, characters); });
        use(number++, std::span<const char32_t>());
      }
    });
  }

 private:
  struct Reading;
  void read_source(const Source& source, Reading& reading);
  void read_text(const Source& source, const std::string& encoding, Reading& reading);
  ScratchArray<DocumentRange>& ranges() { return by_block_ ? blocks_ : whole_; }
  const ScratchArray<DocumentRange>& ranges() const { return by_block_ ? blocks_ : whole_; }

  ScratchArray<char32_t> text_;
  // Documents by the rule; with `auto` both possible outcomes are kept until the end.
  ScratchArray<DocumentRange> whole_, blocks_;
  bool by_block_ = false;
  CorpusReport report_;
  std::vector<SourceIdentity> identities_;
};

}  // namespace zhgpt
