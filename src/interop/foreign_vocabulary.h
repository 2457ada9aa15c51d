// The vocabularies of other programs, and what of them this one can keep.
//
// A model here has one character a token, after <unk> and <|endoftext|>. Of a foreign vocabulary it keeps the
// token for unknown text, the one that ends a text, and every token that is a single character; rows of the
// embedding follow. The rest (words, ##pieces, [PAD], [CLS] …) is dropped, so the softmax runs over fewer
// rows: the logits of the rows that are kept do not change, their probabilities grow alike.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "zhgpt/tokenizer.h"

namespace zhgpt::interop {

struct ForeignVocabulary {
  std::string path;
  std::vector<std::string> tokens = {};  // by id; "" where there is none
  std::string unknown = {};              // what it calls unknown text; "" when it does not say
};

// Reads vocab.json of this program, tokenizer.json (WordLevel, WordPiece, BPE without merges) or vocab.txt (a
// token a line), told apart by content. Throws DataError naming what can not be read character by character.
ForeignVocabulary load_foreign_vocabulary(const std::string& path);

struct VocabularyMapping {
  Vocabulary vocab;
  std::shared_ptr<const std::vector<std::int64_t>> rows =
      {};                              // of the foreign embedding, for each id; or kMeanRow
  std::string unknown = {}, end = {};  // the tokens that became ids 0 and 1; "" when none did
  std::int64_t dropped = 0;            // rows that no id has
};

// REQUIRES: `end_id`, when given, is the model's own choice of the token that ends a text; out of range it is
// ignored. Throws DataError when the vocabulary has more tokens than the model rows, or fewer than one
// character.
VocabularyMapping map_vocabulary(const ForeignVocabulary& from, std::int64_t model_rows,
                                 std::optional<std::int64_t> end_id);

}  // namespace zhgpt::interop
