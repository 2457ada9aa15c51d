#include "zhgpt/sampler.h"

#include <algorithm>

#include "model/decoder.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

void begin_text(std::vector<std::int32_t>& tokens, std::span<const std::int32_t> prompt) {
  tokens.assign(1, kEndOfTextId);
  tokens.insert(tokens.end(), prompt.begin(), prompt.end());
}

std::int64_t count_of(const std::vector<std::int32_t>& tokens) {
  return static_cast<std::int64_t>(tokens.size());
}

}  // namespace

WeightType weight_type_of(const std::string& name) {
  if (name == "f32") return WeightType::f32;
  if (name == "bf16") return WeightType::bf16;
  if (name == "int8") return WeightType::int8;
  throw ConfigError(tr(Msg::not_a_choice, "weights", name, "f32, bf16, int8"));
}

std::int64_t window_begin(std::int64_t n, std::int64_t block_size) {
  if (n <= block_size) return 0;
  const std::int64_t step = std::max<std::int64_t>(1, block_size / 2);
  return (n - block_size + step - 1) / step * step;
}

Generator::Generator(Gpt& model, std::int64_t rows, WeightType weights)
    : block_size_(model.config().block_size),
      decoder_(std::make_unique<Decoder>(model, rows, weights)),
      rows_(static_cast<std::size_t>(rows)),
      logits_(static_cast<std::size_t>(model.config().vocab_size)),
      next_(static_cast<std::size_t>(rows)) {}

Generator::~Generator() = default;

void Generator::start(std::int64_t row, std::span<const std::int32_t> prompt, std::uint64_t sample) {
  Row& r = rows_[static_cast<std::size_t>(row)];
  r = Row{.tokens = std::move(r.tokens), .sample = sample, .is_active = true};
  begin_text(r.tokens, prompt);
}

void Generator::append(std::int32_t id, std::int64_t row) {
  Row& r = rows_[static_cast<std::size_t>(row)];
  r.tokens.push_back(id);
  r.has_logits = false;
}

void Generator::undo(std::int64_t count, std::int64_t row) {
  Row& r = rows_[static_cast<std::size_t>(row)];
  r.tokens.resize(r.tokens.size() - static_cast<std::size_t>(count));
  r.cached = std::max<std::int64_t>(0, std::min(r.cached, count_of(r.tokens) - r.begin));
  r.has_logits = false;
}

// Otherwise its whole window is to be read.
bool Generator::wants_one_token(const Row& r) const {
  const std::int64_t n = count_of(r.tokens);
  return r.begin == window_begin(n, block_size_) && r.cached > 0 && r.begin + r.cached == n - 1;
}

// Of every active row. Rows that follow each other and lack one token go together; each other one for itself.
void Generator::catch_up() {
  ids_.clear();
  lengths_.clear();
  const auto decode_before = [&](std::int64_t row) {
    if (!ids_.empty()) decoder_->decode(row - static_cast<std::int64_t>(ids_.size()), ids_, lengths_);
    ids_.clear();
    lengths_.clear();
  };
  for (std::int64_t row = 0; row < rows(); ++row) {
    Row& r = rows_[static_cast<std::size_t>(row)];
    if (!r.is_active || r.has_logits) {
      decode_before(row);
      continue;
    }
    const std::int64_t n = count_of(r.tokens);
    if (r.cached > 0 && r.begin + r.cached == n) --r.cached;  // logits of the last token are asked for again
    r.has_logits = true;
    if (wants_one_token(r)) {
      ids_.push_back(r.tokens.back());
      lengths_.push_back(static_cast<std::int32_t>(r.cached++));
    } else {
      decode_before(row);
      r.begin = window_begin(n, block_size_);
      r.cached = n - r.begin;
      decoder_->prefill(row, std::span(r.tokens).last(static_cast<std::size_t>(r.cached)));
    }
  }
  decode_before(rows());
}

std::span<const float> Generator::logits(std::int64_t row) {
  catch_up();  // the others' will be asked for too, and together they cost less
  read_logits(decoder_->backend(), decoder_->logits(row), logits_);
  return logits_;
}

std::span<const std::int32_t> Generator::next_all(const SamplingOptions& options) {
  catch_up();
  for (std::int64_t row = 0; row < rows(); ++row) {
    Row& r = rows_[static_cast<std::size_t>(row)];
    std::int32_t& id = next_[static_cast<std::size_t>(row)] = -1;
    if (!r.is_active) continue;
    read_logits(decoder_->backend(), decoder_->logits(row), logits_);
    id = choose_token(logits_, r.tokens, options, r.sample, r.tokens.size());
    append(id, row);
  }
  return next_;
}

void UncachedGenerator::start(std::span<const std::int32_t> prompt, std::uint64_t sample) {
  begin_text(tokens_, prompt);
  sample_ = sample;
}

std::int32_t UncachedGenerator::next(const SamplingOptions& options) {
  Backend& backend = model_.backend();
  const std::int64_t length = count_of(tokens_),
                     T = length - window_begin(length, model_.config().block_size);
  backend.upload(model_.inputs(1, T).data, tokens_.data() + (length - T), T * 4);
  const Tensor logits = model_.last_logits(1, T);
  logits_.resize(static_cast<std::size_t>(logits.numel()));
  read_logits(backend, logits, logits_);
  const std::int32_t id =
      choose_token_or_none(logits_, tokens_, options, sample_, static_cast<std::uint64_t>(length));
  if (id != kNoToken) tokens_.push_back(id);
  return id;
}

}  // namespace zhgpt
