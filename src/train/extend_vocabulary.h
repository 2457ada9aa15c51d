// A vocabulary that grows: rows for more characters at the end of the embedding, nothing else touched.
#pragma once

#include <cstdint>
#include <vector>

#include "zhgpt/checkpoint.h"
#include "zhgpt/tokenizer.h"

namespace zhgpt {

// What `counts` has at least `min_count` times and `vocab` lacks: code points by falling frequency, equal
// ones by code point.
std::vector<std::int32_t> missing_characters(const Vocabulary& vocab, const CharacterCounts& counts,
                                             std::int64_t min_count);

// `from` with `added` (code points that its vocabulary lacks) at the end: ids never move. The new rows of
// wte.weight (V, C), which is the head too, are the mean of the rows of the characters there were, as J.
// Hewitt, "Initializing New Word Embeddings for Pretrained Language Models" (2021) proposes: so the new
// characters start as an average one, and what is predicted for the old ones keeps its order, their logits
// every bit. Their moments are zero. `parent` in progress names where it came from. The rows are read again
// when the snapshot is written: memory stays bounded. Throws CheckpointError when wte.weight is not (V, C) of
// f32.
Snapshot extend_vocabulary(const Checkpoint& from, const std::vector<std::int32_t>& added);

}  // namespace zhgpt
