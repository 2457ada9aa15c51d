#include "cli/chat_views.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "cli/console.h"
#include "cli/table.h"
#include "cli/writer.h"
#include "text/utf8.h"
#include "zhgpt/messages.h"

namespace zhgpt::cli {
namespace {

// One that would break a table is shown by a mark.
std::string visible(const Vocabulary& vocab, std::int32_t id) {
  if (id == kEndOfTextId) return tr(Msg::run_split_end);
  const std::string text = vocab.text(id);
  return text == "\n" ? "↵" : text == " " || text == "　" ? "␣" : text == "\t" ? "⇥" : text;
}

std::string to_width(const std::string& text, int columns) {
  return text + std::string(static_cast<std::size_t>(std::max(0, columns - display_width(text))), ' ');
}

}  // namespace

std::string likely_characters(const Vocabulary& vocab, std::span<const float> logits,
                              const std::vector<Candidate>& candidates, std::int64_t count,
                              std::int32_t chosen) {
  const std::vector<double> log_p = log_probabilities(logits);
  std::vector<std::int32_t> ids(log_p.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](std::int32_t a, std::int32_t b) {
    return log_p[static_cast<std::size_t>(a)] > log_p[static_cast<std::size_t>(b)];
  });
  std::erase(ids, kUnknownId);  // is never written
  std::map<std::int32_t, double> chances;
  for (const Candidate& candidate : candidates) chances[candidate.id] = candidate.chance;
  std::vector<std::vector<std::string>> rows = {
      {"", "", "", tr(Msg::chat_probability), tr(Msg::chat_chance)}};
  for (std::size_t rank = 0; rank < ids.size(); ++rank) {
    const std::int32_t id = ids[rank];
    if (static_cast<std::int64_t>(rank) >= count && id != chosen) continue;
    const double p = std::exp(log_p[static_cast<std::size_t>(id)]);
    const auto chance = chances.find(id);
    rows.push_back({id == chosen ? "→" : "", to_text(rank + 1), visible(vocab, id), fixed(100 * p, 2) + "%",
                    chance == chances.end() ? "–" : fixed(100 * chance->second, 2) + "%",
                    progress_bar(p, 20)});
  }
  return table(rows, "lrlrrl");
}

std::string surprises(const Vocabulary& vocab, std::span<const std::int32_t> ids,
                      std::span<const double> bits, bool coloured) {
  // Of the 256 colours of terminals (ISO 8613-6, 48;5;n): what is expected green, what surprises red.
  static constexpr int kColours[] = {22, 28, 64, 100, 136, 130, 124, 88};
  std::string out;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::string text = visible(vocab, ids[i]);
    if (coloured) {
      const auto level = static_cast<std::size_t>(std::clamp(bits[i] / 2, 0.0, 7.0));  // two bits a step
      out += "\033[38;5;231;48;5;" + std::to_string(kColours[level]) + "m" + text + "\033[0m";
    } else {
      out += text + fixed(bits[i], 1) + " ";
    }
    if (vocab.text(ids[i]) == "\n") out += "\n";
  }
  return out;
}

std::vector<std::string> wrapped(std::string_view utf8, int columns) {
  std::u32string characters;
  decode_utf8(utf8, true, characters);
  std::vector<std::string> lines(1);
  int width = 0;
  for (char32_t c : characters) {
    std::string text;
    append_utf8(text, c);
    if (c == U'\n' || width + display_width(text) > columns) {
      lines.emplace_back();
      width = 0;
    }
    if (c == U'\n') continue;
    lines.back() += text;
    width += display_width(text);
  }
  return lines;
}

std::string side_by_side(const std::string& left_title, const std::string& left,
                         const std::string& right_title, const std::string& right, int columns) {
  const int half = std::max(2, (columns - 3) / 2);
  std::string out;
  const auto add = [&](const std::vector<std::string>& l, const std::vector<std::string>& r) {
    for (std::size_t i = 0; i < std::max(l.size(), r.size()); ++i) {
      out += to_width(i < l.size() ? l[i] : "", half) + " │ " + (i < r.size() ? r[i] : "") + "\n";
    }
  };
  add(wrapped(left_title, half), wrapped(right_title, half));
  std::string rule;
  for (int i = 0; i < half; ++i) rule += "─";
  out += rule + "─┼─" + rule + "\n";
  add(wrapped(left, half), wrapped(right, half));
  return out;
}

}  // namespace zhgpt::cli
