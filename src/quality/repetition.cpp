// How much a text repeats itself, and marks without a partner.
#include <algorithm>
#include <limits>
#include <unordered_set>

#include "zhgpt/quality.h"

namespace zhgpt {
namespace {

constexpr std::size_t kLongestPeriod = 64, kRounds = 3, kFewestRepeated = 8;

// How far from `begin` on every character is the one `period` before it: all rounds, the first too.
std::size_t run_length(std::u32string_view text, std::size_t begin, std::size_t period) {
  std::size_t end = begin + period;
  while (end < text.size() && text[end] == text[end - period]) ++end;
  return std::min(end, text.size()) - begin;
}

Loop loop_at(std::u32string_view text, std::size_t begin) {
  Loop longest{.begin = begin};
  for (std::size_t period = 1; period <= kLongestPeriod && begin + period < text.size(); ++period) {
    const std::size_t length = run_length(text, begin, period);
    const bool is_loop = length >= kRounds * period && length >= period + kFewestRepeated;
    if (is_loop && length > longest.length) longest = {begin, period, length};
  }
  return longest;
}

}  // namespace

double distinct_share(const std::vector<std::u32string>& texts, std::size_t n) {
  std::unordered_set<std::u32string_view> different;
  std::size_t all = 0;
  for (const std::u32string_view text : texts) {
    for (std::size_t i = 0; i + n <= text.size(); ++i, ++all) different.insert(text.substr(i, n));
  }
  return static_cast<double>(different.size()) / static_cast<double>(all);
}

std::vector<Loop> find_loops(std::u32string_view text) {
  std::vector<Loop> loops;
  for (std::size_t i = 0; i < text.size();) {
    const Loop loop = loop_at(text, i);
    if (loop.length > 0) loops.push_back(loop);
    i += std::max<std::size_t>(1, loop.length);
  }
  return loops;
}

double looped_share(const std::vector<std::u32string>& texts) {
  std::size_t all = 0, repeated = 0;
  for (const std::u32string& text : texts) {
    all += text.size();
    for (const Loop& loop : find_loops(text)) repeated += loop.length - loop.period;
  }
  return static_cast<double>(repeated) / static_cast<double>(all);
}

PairedMarks count_paired_marks(std::u32string_view text, bool is_cut) {
  constexpr std::u32string_view kOpening = U"《〈「『“（【", kClosing = U"》〉」』”）】";
  PairedMarks result;
  std::vector<std::size_t> open;  // kinds, the innermost last
  for (const char32_t c : text) {
    if (const std::size_t kind = kOpening.find(c); kind != kOpening.npos) {
      ++result.marks;
      open.push_back(kind);
    } else if (const std::size_t closed = kClosing.find(c); closed != kClosing.npos) {
      ++result.marks;
      const auto partner = std::find(open.rbegin(), open.rend(), closed);
      if (partner == open.rend()) {
        ++result.unpaired;
      } else {  // what was opened inside and not closed has lost its chance
        result.unpaired += partner - open.rbegin();
        open.resize(static_cast<std::size_t>(open.rend() - partner) - 1);
      }
    }
  }
  if (!is_cut) result.unpaired += static_cast<std::int64_t>(open.size());
  return result;
}

}  // namespace zhgpt
