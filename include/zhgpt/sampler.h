// Generator: from prompts to texts, one token at a time, with a cache of keys and values.
//
// Window: while a text fits into block_size it is attended to whole. Positions are learned, so that beyond
// that the window must be read again from position 0 on: it slides by halves of block_size, each time in one
// pass, and the context is always between half of block_size and all of it. There is no limit of length.
// Where the window begins depends on the number of tokens alone, so that on the CPU what was taken back
// and written again has the same bits.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "zhgpt/gpt.h"
#include "zhgpt/sampling.h"
#include "zhgpt/tokenizer.h"

namespace zhgpt {

class Decoder;
class RunAhead;

WeightType weight_type_of(const std::string& name);  // "f32", "bf16", "int8"; throws ConfigError

// Which of n tokens is the first that the model sees: 0 while n <= block_size.
std::int64_t window_begin(std::int64_t n, std::int64_t block_size);

// Continues one text or several at once. On the CPU a row's text has the same bits whatever its neighbours,
// and in f32 logits are those of Gpt::last_logits for the window, bit for bit; on a device a window that is
// read again, after `undo` across its beginning, may differ from one that was written, by rounding. A device
// that is not the host chooses tokens by itself, as choose_token would up to rounding, and goes some tokens
// ahead of `next_all`: `start`, `append`, `undo` and other options throw those away. The model's parameters
// must not change while it lives.
class Generator {
 public:
  // rows: how many texts are written at once. weights: as what those of products are held, on the CPU; with
  // bf16 and int8 logits differ by rounding. Throws DeviceError when memory does not suffice, ConfigError for
  // weights that the device cannot hold.
  explicit Generator(Gpt& model, std::int64_t rows = 1, WeightType weights = WeightType::f32);
  ~Generator();

  std::int64_t rows() const { return static_cast<std::int64_t>(rows_.size()); }
  // The row starts anew: a document's beginning, then the prompt, as sample `sample` of the seed.
  void start(std::int64_t row, std::span<const std::int32_t> prompt, std::uint64_t sample);
  void start(std::span<const std::int32_t> prompt, std::uint64_t sample) { start(0, prompt, sample); }
  // The row takes no part until its next start.
  void stop(std::int64_t row) { rows_[static_cast<std::size_t>(row)].is_active = false; }

  // All of the row, first the <|endoftext|> it began with.
  std::span<const std::int32_t> tokens(std::int64_t row = 0) const { return at(row).tokens; }
  // Logits (V) of what follows; valid until the next call. Those of all active rows are computed with it.
  // REQUIRES: the row is active.
  std::span<const float> logits(std::int64_t row = 0);
  // Goes on with a token that the caller chose.
  void append(std::int32_t id, std::int64_t row = 0);
  // Takes back the last `count` tokens. REQUIRES: the <|endoftext|> in front stays.
  void undo(std::int64_t count, std::int64_t row = 0);

  // Each active row's next token, chosen by `options` and appended; -1 for the others. Valid until the next
  // call. Throws ConfigError, nothing being appended, when some row's logits leave nothing.
  std::span<const std::int32_t> next_all(const SamplingOptions& options);
  std::int32_t next(const SamplingOptions& options) { return next_all(options)[0]; }  // of row 0

 private:
  struct Row {
    std::vector<std::int32_t> tokens;
    std::uint64_t sample = 0;
    bool is_active = false;
    std::int64_t begin = 0, cached = 0;  // the cache holds tokens [begin, begin + cached)
    bool has_logits = false;             // of what follows all tokens
  };
  const Row& at(std::int64_t row) const { return rows_[static_cast<std::size_t>(row)]; }
  void push(Row& row, std::int32_t id);
  void forget_ahead();
  void prepare(std::int64_t row);                    // for its last token to be decoded
  void catch_up();                                   // every active row gets its logits
  void choose_here(const SamplingOptions& options);  // into next_
  void choose_ahead(const SamplingOptions& options);

  const std::int64_t block_size_;
  std::unique_ptr<Decoder> decoder_;
  std::unique_ptr<RunAhead> ahead_;  // where the device is not the host
  std::vector<Row> rows_;
  std::vector<float> logits_;
  std::vector<std::int32_t> next_, ids_, lengths_;
};

// The same for one text, reading the whole window again for every token: takes no memory, and follows
// parameters that change.
class UncachedGenerator {
 public:
  explicit UncachedGenerator(Gpt& model) : model_(model) {}

  void start(std::span<const std::int32_t> prompt, std::uint64_t sample);
  // kNoToken when the logits leave nothing, as those of a run that has gone wrong.
  std::int32_t next(const SamplingOptions& options);

 private:
  Gpt& model_;
  std::vector<std::int32_t> tokens_;
  std::vector<float> logits_;
  std::uint64_t sample_ = 0;
};

}  // namespace zhgpt
