// Writes one text: asks the generator for characters until something ends it, and hands them on as they come.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/verse.h"
#include "zhgpt/sampler.h"
#include "zhgpt/tokenizer.h"

namespace zhgpt::cli {

struct WriteRequest {
  SamplingOptions options;
  std::uint64_t sample = 0;  // that the generator was started with
  std::int64_t max_characters = 200;
  std::vector<std::string> stop_texts;
  std::int64_t line_length = 0;    // of verse; 0: any
  std::u32string heads;            // what the lines of an acrostic begin with
  bool may_end_at_once = true;     // false: at least one character is written
  bool log_probabilities = false;  // keep them
};

enum class Ending { end_of_text, max_characters, stop_text, complete, impossible, interrupted };
const char* name_of(Ending ending);  // "end_of_text" …, for programs

struct Written {
  std::string text;                  // without a stop text
  std::vector<std::int32_t> tokens;  // of the text
  std::vector<double>
      log_probabilities;  // natural, before any filter or temperature; of `tokens`, if asked for
  Ending ending = Ending::end_of_text;
  double seconds = 0;
};

// Goes on with the generator's text and leaves in it exactly what was written. `show` is given whole
// characters. Ctrl-C ends the text (Ending::interrupted); stop_signal stays set. Throws what generator and
// `show` throw.
Written write_text(const Vocabulary& vocab, Generator& generator, const WriteRequest& request,
                   const std::function<void(std::string_view)>& show);

// The model's own natural log-probabilities (V).
std::vector<double> log_probabilities(std::span<const float> logits);
double log_probability(std::span<const float> logits, std::int32_t id);

}  // namespace zhgpt::cli
