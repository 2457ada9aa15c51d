#include "cli/writer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "cli/console.h"

namespace zhgpt::cli {
namespace {

double log_sum_exp(std::span<const float> logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float x : logits) sum += std::exp(x - top);
  return top + std::log(sum);
}

// <unk> has no character; what is no character is never asked of a verse.
char32_t character(const Vocabulary& vocab, std::int32_t id) {
  return static_cast<char32_t>(vocab.code_points()[static_cast<std::size_t>(id)]);
}

}  // namespace

const char* name_of(Ending ending) {
  static constexpr const char* kNames[] = {"end_of_text", "max_chars",  "stop_text",
                                           "complete",    "impossible", "interrupted"};
  return kNames[static_cast<std::size_t>(ending)];
}

double log_probability(std::span<const float> logits, std::int32_t id) {
  return logits[static_cast<std::size_t>(id)] - log_sum_exp(logits);
}

std::vector<double> log_probabilities(std::span<const float> logits) {
  std::vector<double> out(logits.begin(), logits.end());
  const double sum = log_sum_exp(logits);
  for (double& x : out) x -= sum;
  return out;
}

Verse verse_after(const Vocabulary& vocab, const WriteRequest& request,
                  std::span<const std::int32_t> tokens) {
  Verse verse(request.line_length, request.heads);
  for (std::int32_t id : tokens) {
    if (id > kEndOfTextId) verse.push(character(vocab, id));
  }
  return verse;
}

std::vector<float> allowed_logits(const Vocabulary& vocab, std::span<const float> logits, const Verse& verse,
                                  bool may_end) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  std::vector<float> allowed(logits.begin(), logits.end());
  allowed[kUnknownId] = kNever;
  if (!may_end || !verse.allows_end()) allowed[kEndOfTextId] = kNever;
  if (verse.is_free()) return allowed;
  for (std::int32_t id = kEndOfTextId + 1; id < vocab.size(); ++id) {
    if (!verse.allows(character(vocab, id))) allowed[static_cast<std::size_t>(id)] = kNever;
  }
  return allowed;
}

Writing::Writing(const Vocabulary& vocab, Generator& generator, std::int64_t row, WriteRequest request,
                 Show show)
    : vocab_(vocab),
      generator_(generator),
      row_(row),
      request_(std::move(request)),
      show_(std::move(show)),
      stops_(request_.stop_texts),
      verse_(verse_after(vocab, request_, generator.tokens(row))) {}

bool Writing::goes_on() {
  if (has_ended_) return false;
  if (stop_signal.load() != 0) {
    end(Ending::interrupted);
  } else if (verse_.complete()) {
    end(Ending::complete);
  } else if (count() == request_.max_characters) {
    end(Ending::max_characters);
  }
  return !has_ended_;
}

void Writing::advance(std::span<Writing* const> texts) {
  const bool are_unbound =
      std::all_of(texts.begin(), texts.end(), [](const Writing* text) { return text->is_unbound(); });
  if (are_unbound) {
    const std::span<const std::int32_t> next = texts[0]->generator_.next_all(texts[0]->request_.options);
    for (Writing* text : texts) text->take({next[static_cast<std::size_t>(text->row_)]});
    return;
  }
  // All choose before any goes on, so that the generator reads the rows' tokens together.
  std::vector<Choice> choices;
  for (const Writing* text : texts) choices.push_back(text->choose());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (choices[i].id != kNoToken) texts[i]->generator_.append(choices[i].id, texts[i]->row_);
    texts[i]->take(choices[i]);
  }
}

Writing::Choice Writing::choose() const {
  const std::span<const float> logits = generator_.logits(row_);
  const std::span<const std::int32_t> tokens = generator_.tokens(row_);
  const std::int32_t id = choose_token_or_none(allowed_logits(vocab_, logits, verse_, may_end()), tokens,
                                               request_.options, request_.sample, tokens.size());
  const bool is_wanted = request_.log_probabilities && id != kNoToken;
  return {id, is_wanted ? log_probability(logits, id) : 0};
}

// The generator's row ends with the token.
void Writing::take(const Choice& choice) {
  if (choice.id == kNoToken) return end(Ending::impossible);
  if (choice.id == kEndOfTextId) {
    generator_.undo(1, row_);
    return end(Ending::end_of_text);
  }
  written_.tokens.push_back(choice.id);
  if (request_.log_probabilities) written_.log_probabilities.push_back(choice.log_probability);
  const char32_t c = character(vocab_, choice.id);
  std::string shown = verse_.breaks_before(c) ? "\n" : "";
  verse_.push(c);
  shown += stops_.push(vocab_.text(choice.id));
  if (!shown.empty()) show_(shown);
  written_.text += shown;
  if (stops_.found()) end(Ending::stop_text);
}

void Writing::end(Ending ending) {
  has_ended_ = true;
  written_.ending = ending;
  const std::string rest = stops_.finish();
  if (!rest.empty()) show_(rest);
  written_.text += rest;
  // A token is a character, so the stop text's characters are as many tokens: they are taken back.
  const auto taken = static_cast<std::int64_t>(vocab_.encode(stops_.found_text()).size());
  if (taken > 0) generator_.undo(taken, row_);
  written_.tokens.resize(static_cast<std::size_t>(count() - taken));
  if (request_.log_probabilities) written_.log_probabilities.resize(written_.tokens.size());
  written_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
}

Written Writing::finish() {
  return std::move(written_);
}

Written write_text(const Vocabulary& vocab, Generator& generator, const WriteRequest& request,
                   const Writing::Show& show) {
  Writing text(vocab, generator, 0, request, show);
  Writing* const texts[] = {&text};
  while (text.goes_on()) Writing::advance(texts);
  return text.finish();
}

}  // namespace zhgpt::cli
