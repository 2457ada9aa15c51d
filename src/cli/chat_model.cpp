// The commands that look into the model, and that take another one.
#include <algorithm>
#include <cmath>
#include <iostream>
#include <numeric>

#include "cli/chat.h"
#include "cli/chat_views.h"
#include "cli/console.h"
#include "cli/prompt.h"
#include "zhgpt/error.h"
#include "zhgpt/key_values.h"
#include "zhgpt/messages.h"

namespace zhgpt::cli {
namespace {

constexpr std::int64_t kShown = 10;

std::int64_t rows_wanted(const std::string& argument, const char* command) {
  if (argument.empty()) return kShown;
  const std::int64_t count = parse_integer(argument, command);
  if (count < 1) throw ConfigError(tr(Msg::chat_at_least_one, command));
  return count;
}

}  // namespace

// What may follow the text, if it is written as `request` says.
std::string Chat::likely(const WriteRequest& request, bool may_end, std::int64_t rows, std::int32_t chosen) {
  const std::span<const float> logits = generator_->logits();
  const Verse verse = verse_after(loaded_->vocab, request, generator_->tokens());
  const std::vector<float> allowed = allowed_logits(loaded_->vocab, logits, verse, may_end);
  return likely_characters(loaded_->vocab, logits, candidates(allowed, generator_->tokens(), request.options),
                           rows, chosen);
}

void Chat::top(const std::string& count) {
  write_out(likely(request_, true, rows_wanted(count, "/top"), kNoToken));
}

void Chat::why(const std::string& count) {
  const std::int64_t rows = rows_wanted(count, "/why");
  // A piece may have ended before its first character: then the last one is of a piece before it.
  const auto holds_last = [this](const Piece& piece) { return piece.begin < size(); };
  const auto piece = std::find_if(pieces_.rbegin(), pieces_.rend(), holds_last);
  if (piece == pieces_.rend()) throw_nothing_written();
  const std::int32_t last = generator_->tokens().back();
  generator_->undo(1);
  const bool may_end = piece->request.may_end_at_once || size() > piece->begin;
  const std::string shown = likely(piece->request, may_end, rows, last);
  generator_->append(last);
  write_out(shown);
}

void Chat::score(const std::string& given) {
  const Prompt prompt = read_prompt(loaded_->vocab, loaded_->config.text, given.empty() ? text() : given);
  say_notes(prompt);
  if (prompt.ids.empty()) throw ConfigError(tr(Msg::chat_score_usage));
  Generator reader(*loaded_->model, 1, loaded_->weights);
  reader.start({}, 0);
  std::vector<double> bits;
  for (std::int32_t id : prompt.ids) {
    if (stop_signal.load() != 0) return;
    bits.push_back(-log_probability(reader.logits(), id) / std::log(2.0));
    reader.append(id);
  }
  const double mean = std::accumulate(bits.begin(), bits.end(), 0.0) / static_cast<double>(bits.size());
  const auto most = static_cast<std::size_t>(std::max_element(bits.begin(), bits.end()) - bits.begin());
  write_out(surprises(loaded_->vocab, prompt.ids, bits, stdout_is_terminal()) + "\n");
  std::cerr << tr(Msg::chat_score, bits.size(), fixed(mean, 2), fixed(std::exp2(mean), 1),
                  loaded_->vocab.text(prompt.ids[most]), fixed(bits[most], 1))
            << "\n";
}

void Chat::compare(const std::string& file) {
  if (file.empty()) throw ConfigError(tr(Msg::chat_compare_usage));
  const std::unique_ptr<LoadedModel> other = open_(file);
  const std::string typed = beginning();
  const auto write_with = [&](LoadedModel& model) {
    const Prompt prompt = read_prompt(model.vocab, model.config.text, typed);
    say_notes(prompt);
    Generator generator(*model.model, 1, model.weights);
    generator.start(prompt.ids, request_.sample);
    return prompt.text + write_text(model.vocab, generator, request_, [](std::string_view) {}).text;
  };
  const std::string left = write_with(*loaded_), right = write_with(*other);
  write_out(
      side_by_side(loaded_->checkpoint.path(), left, other->checkpoint.path(), right, terminal_columns()));
}

void Chat::load(const std::string& which) {
  if (which.empty()) throw ConfigError(tr(Msg::chat_load_usage));
  const std::string typed = beginning();
  use(open_(which));  // a model that cannot be opened leaves the one there is
  const Prompt prompt = read_prompt(loaded_->vocab, loaded_->config.text, typed);
  say_notes(prompt);
  begin(prompt.ids);
  std::cerr << tr(Msg::chat_loaded, loaded_->checkpoint.path(), loaded_->checkpoint.step()) << "\n";
}

}  // namespace zhgpt::cli
