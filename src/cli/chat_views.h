// What the loop shows of a model, laid out for a terminal: pure functions of numbers and texts.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "zhgpt/sampling.h"
#include "zhgpt/tokenizer.h"

namespace zhgpt::cli {

// The `count` most likely of `logits` (V), a line each: the model's own probability, and the chance of being
// drawn that it has among `candidates`, none where it is not there. `chosen`, if it is an id, is marked; it
// has a line of its own where it is not among them.
std::string likely_characters(const Vocabulary& vocab, std::span<const float> logits,
                              const std::vector<Candidate>& candidates, std::int64_t count,
                              std::int32_t chosen = kNoToken);

// A text with the surprise of each character, in bits. coloured: by its background, from green to red; else
// the number behind each character.
std::string surprises(const Vocabulary& vocab, std::span<const std::int32_t> ids,
                      std::span<const double> bits, bool coloured);

// Lines that fit into so many columns; where a text has a line break, one ends.
std::vector<std::string> wrapped(std::string_view utf8, int columns);

// Two texts with their titles beside each other in so many columns, a bar between them.
std::string side_by_side(const std::string& left_title, const std::string& left,
                         const std::string& right_title, const std::string& right, int columns);

}  // namespace zhgpt::cli
