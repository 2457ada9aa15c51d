// From what a person typed to ids: cleaned as the model's corpus was.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "zhgpt/config.h"
#include "zhgpt/tokenizer.h"

namespace zhgpt::cli {

// Characters that the model has never seen are named once on stderr. Throws DataError on invalid UTF-8.
std::vector<std::int32_t> encode_prompt(const Vocabulary& vocab, const TextConfig& text,
                                        const std::string& prompt);

}  // namespace zhgpt::cli
