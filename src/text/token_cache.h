// corpus.tokens: a prepared dataset on disk, so that a second start need not prepare and a resume needs no
// corpus.
//
// All numbers little endian.
//     0  "ZHGPTTOK"             32  fingerprint of the text, u64
//     8  version, u32 = 1       40  bytes of the record, u64
//    12  DType, u32             48  XXH3 of everything from byte 64 on, u64
//    16  training tokens, i64   56  XXH3 of bytes 0 to 55, u64
//    24  validation tokens, i64 64  record (JSON), training tokens, validation tokens; the file ends there
// The record holds the vocabulary, the sources' identities, a hash of the rules, and the report.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "text/source.h"
#include "text/token_file.h"
#include "zhgpt/dataset.h"

namespace zhgpt {

struct TokenCache {
  Dataset dataset;
  std::uint64_t rules = 0;  // a hash of everything besides the sources' bytes that decides the result
  std::vector<SourceIdentity> train_sources, val_sources;
};

std::string token_cache_path(const std::string& run_dir);
// All of `cache` but its token arrays, and these tokens. Throws IoError.
void write_token_cache(const std::string& path, const TokenCache& cache, TokenFile& train, TokenFile& val);

// Throws DataError when the file is not there or is not exactly what was written, before anything is
// allocated that the file's own size does not warrant. The tokens are copied into scratch files beside
// it, or, where there is no room for them, into memory.
TokenCache read_token_cache(const std::string& path);

}  // namespace zhgpt
