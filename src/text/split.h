// Split: which part of a corpus is for validation.
//
// A document is, when the XXH3 of its text, keyed by the seed, lies in the lowest val_fraction of all hashes:
// equal documents fall on the same side and neither order nor neighbours matter. Where chance leaves a side
// empty, the documents with the lowest hash become validation, or those with the highest training. With fewer
// than kFewestDocuments documents, or when all are equal, validation is the last val_fraction of the token
// stream.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "text/corpus.h"

namespace zhgpt {

inline constexpr std::int64_t kFewestDocuments = 20;

struct Split {
  std::vector<bool> documents;  // true: validation; empty: by place
  std::int64_t first_validation_token = std::numeric_limits<std::int64_t>::max();

  bool in_validation(std::int64_t document, std::int64_t token) const {
    return documents.empty() ? token >= first_validation_token
                             : documents[static_cast<std::size_t>(document)];
  }
  // How many of the next `count` tokens of a document, from `token` on, are on the same side as the first.
  std::int64_t same_side(std::int64_t token, std::int64_t count) const {
    const bool is_cut = documents.empty() && token < first_validation_token;
    return is_cut ? std::min(count, first_validation_token - token) : count;
  }
};

// Mixes what the corpus says, with the boundaries of documents, into one number.
std::uint64_t text_hash(Corpus& corpus, std::uint64_t seed);

// A note for the user is appended to `notes` when hashes alone did not do.
Split split_corpus(Corpus& corpus, double val_fraction, std::uint64_t seed, std::vector<std::string>& notes);

}  // namespace zhgpt
