// Writes texts: asks a generator for characters until something ends them, and hands them on as they come.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/stop_texts.h"
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

// One text that is being written, in one row of a generator: it ends when something ends it, and then the row
// holds exactly what was written.
class Writing {
 public:
  using Show = std::function<void(std::string_view)>;
  // The row is at the text's beginning, whatever that is. show: is given whole characters as they come.
  Writing(const Vocabulary& vocab, Generator& generator, std::int64_t row, WriteRequest request, Show show);

  // Whether it goes on. Ctrl-C ends it (Ending::interrupted); stop_signal stays set.
  bool goes_on();
  // All of it, when it does not go on.
  Written finish();

  // One token more of each of `texts`, which all go on and are what the generator's active rows write, with
  // one request but for the sample. Throws what generator and `show` throw.
  static void advance(std::span<Writing* const> texts);

 private:
  struct Choice {
    std::int32_t id;             // kNoToken when nothing may follow
    double log_probability = 0;  // by the model alone, if asked for
  };
  // The token follows from logits, options and history alone, so that the generator may choose.
  bool is_unbound() const { return !request_.log_probabilities && verse_.is_free() && may_end(); }
  bool may_end() const { return request_.may_end_at_once || !written_.tokens.empty(); }
  Choice choose() const;
  void take(const Choice& choice);
  void end(Ending ending);
  std::int64_t count() const { return static_cast<std::int64_t>(written_.tokens.size()); }

  const Vocabulary& vocab_;
  Generator& generator_;
  std::int64_t row_;
  WriteRequest request_;
  Show show_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  StopTexts stops_;
  Verse verse_;
  Written written_;
  bool has_ended_ = false;
};

// One text, in row 0.
Written write_text(const Vocabulary& vocab, Generator& generator, const WriteRequest& request,
                   const Writing::Show& show);

// The logits with -inf for what the verse does not let follow.
std::vector<float> allowed_logits(const Vocabulary& vocab, std::span<const float> logits, const Verse& verse,
                                  bool may_end);
// The verse that the request asks for, after these tokens.
Verse verse_after(const Vocabulary& vocab, const WriteRequest& request, std::span<const std::int32_t> tokens);

// The model's own natural log-probabilities (V).
std::vector<double> log_probabilities(std::span<const float> logits);
double log_probability(std::span<const float> logits, std::int32_t id);

}  // namespace zhgpt::cli
