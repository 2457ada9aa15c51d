#include "cli/writer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "cli/console.h"
#include "cli/stop_texts.h"

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

struct Choice {
  std::int32_t id = kUnknownId;  // when nothing may follow
  double log_probability = 0;    // by the model alone
};

Choice choose(const Vocabulary& vocab, Generator& generator, const WriteRequest& request, const Verse& verse,
              bool may_end) {
  const std::span<const float> from = generator.logits();
  std::vector<float> logits(from.begin(), from.end());
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  logits[kUnknownId] = kNever;
  if (!may_end || !verse.allows_end()) logits[kEndOfTextId] = kNever;
  if (!verse.is_free()) {
    for (std::int64_t id = kEndOfTextId + 1; id < vocab.size(); ++id) {
      const auto at = static_cast<std::size_t>(id);
      if (!verse.allows(static_cast<char32_t>(vocab.code_points()[at]))) logits[at] = kNever;
    }
  }
  const auto position = static_cast<std::uint64_t>(generator.tokens().size());
  const std::int32_t id =
      choose_token_or_none(logits, generator.tokens(), request.options, request.sample, position);
  if (id == kNoToken) return {};
  return {id, request.log_probabilities ? log_probability(from, id) : 0};
}

Verse verse_so_far(const Vocabulary& vocab, const WriteRequest& request,
                   std::span<const std::int32_t> tokens) {
  Verse verse(request.line_length, request.heads);
  for (std::int32_t id : tokens) {
    if (id > kEndOfTextId) verse.push(character(vocab, id));
  }
  return verse;
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

Written write_text(const Vocabulary& vocab, Generator& generator, const WriteRequest& request,
                   const std::function<void(std::string_view)>& show) {
  const auto begin = std::chrono::steady_clock::now();
  StopTexts stops(request.stop_texts);
  Verse verse = verse_so_far(vocab, request, generator.tokens());
  Written written;
  const auto count = [&] { return static_cast<std::int64_t>(written.tokens.size()); };
  for (;;) {
    if (stop_signal.load() != 0) {
      written.ending = Ending::interrupted;
    } else if (verse.complete()) {
      written.ending = Ending::complete;
    } else if (count() == request.max_characters) {
      written.ending = Ending::max_characters;
    } else {
      const bool may_end = request.may_end_at_once || count() > 0;
      const auto [id, log_p] = choose(vocab, generator, request, verse, may_end);
      if (id > kEndOfTextId) {
        if (request.log_probabilities) written.log_probabilities.push_back(log_p);
        generator.append(id);
        written.tokens.push_back(id);
        const bool breaks = verse.breaks_before(character(vocab, id));
        verse.push(character(vocab, id));
        std::string shown = breaks ? "\n" : "";
        shown += stops.push(vocab.text(id));
        if (!shown.empty()) show(shown);
        written.text += shown;
        if (!stops.found()) continue;
        written.ending = Ending::stop_text;
      } else {
        written.ending = id == kEndOfTextId ? Ending::end_of_text : Ending::impossible;
      }
    }
    break;
  }
  const std::string rest = stops.finish();
  if (!rest.empty()) show(rest);
  written.text += rest;
  // A token is a character, so the stop text's characters are as many tokens: they are taken back.
  const auto taken = static_cast<std::int64_t>(vocab.encode(stops.found_text()).size());
  generator.undo(taken);
  written.tokens.resize(static_cast<std::size_t>(count() - taken));
  if (request.log_probabilities) written.log_probabilities.resize(written.tokens.size());
  written.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return written;
}

}  // namespace zhgpt::cli
