// Copying, by the suffix automaton of the texts (A. Blumer et al., 1985): the corpus runs through it once,
// and each state learns how long a piece of the corpus has ended there. So the memory is that of the texts,
// whatever the corpus takes, and every answer is exact.
#include <algorithm>
#include <limits>
#include <unordered_map>

#include "zhgpt/quality.h"

namespace zhgpt {
namespace {

// A state stands for the pieces that end at the same places: those longer than its link's, up to `length`.
class SuffixAutomaton {
 public:
  SuffixAutomaton() : states_(1) {}

  // Adds an id; returns the state of everything so far.
  std::size_t extend(std::int32_t id) {
    const std::size_t added = states_.size();
    states_.push_back({.length = states_[last_].length + 1});
    std::size_t p = last_;
    last_ = added;
    for (; p != kNone && !states_[p].next.contains(id); p = states_[p].link) states_[p].next[id] = added;
    if (p == kNone) {
      states_[added].link = kRoot;
      return added;
    }
    const std::size_t q = states_[p].next[id];
    if (states_[q].length == states_[p].length + 1) {
      states_[added].link = q;
      return added;
    }
    const std::size_t copy = states_.size();
    states_.push_back(states_[q]);
    states_[copy].length = states_[p].length + 1;
    states_[copy].found = 0;
    for (; p != kNone && states_[p].next[id] == q; p = states_[p].link) states_[p].next[id] = copy;
    states_[q].link = states_[added].link = copy;
    return added;
  }

  // Takes in the next id of the corpus.
  void read(std::int32_t id) {
    auto next = states_[at_].next.find(id);
    while (next == states_[at_].next.end() && at_ != kRoot) {
      at_ = states_[at_].link;
      matched_ = states_[at_].length;
      next = states_[at_].next.find(id);
    }
    if (next == states_[at_].next.end()) return;
    at_ = next->second;
    states_[at_].found = std::max(states_[at_].found, ++matched_);
  }

  // How long a piece that ends where `state` does the corpus has.
  std::int64_t found(std::size_t state) const {
    while (state != kRoot && states_[state].found == 0) state = states_[state].link;
    return states_[state].found;
  }
  // After the corpus: whoever was found, so was every shorter piece that ends with it.
  void finish() {
    std::vector<std::size_t> order(states_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::sort(order,
                      [&](std::size_t a, std::size_t b) { return states_[a].length > states_[b].length; });
    for (const std::size_t i : order) {
      if (i == kRoot || states_[i].found == 0) continue;
      State& link = states_[states_[i].link];
      link.found = link.length;
    }
  }

 private:
  static constexpr std::size_t kRoot = 0, kNone = std::numeric_limits<std::size_t>::max();
  struct State {
    std::int64_t length = 0;
    std::size_t link = kNone;
    std::int64_t found = 0;
    std::unordered_map<std::int32_t, std::size_t> next = {};
  };
  std::vector<State> states_;
  std::size_t last_ = kRoot, at_ = kRoot;
  std::int64_t matched_ = 0;
};

}  // namespace

double Copying::rate(std::size_t i) const {
  return static_cast<double>(copied[i]) / static_cast<double>(pieces[i]);
}

Copying measure_copying(const std::vector<std::vector<std::int32_t>>& texts, const TokenArray& corpus) {
  SuffixAutomaton automaton;
  std::vector<std::vector<std::size_t>> states;
  std::int32_t boundary = -1;  // each is an id that is nowhere else
  for (const auto& text : texts) {
    std::vector<std::size_t>& of_text = states.emplace_back();
    for (const std::int32_t id : text)
      of_text.push_back(automaton.extend(id == kUnknownId ? boundary-- : id));
    automaton.extend(boundary--);
  }
  for (std::int64_t i = 0; i < corpus.count; ++i) automaton.read(corpus[i]);
  automaton.finish();

  Copying result;
  for (std::size_t t = 0; t < states.size(); ++t) {
    for (std::size_t end = 0; end < states[t].size(); ++end) {
      const auto before = static_cast<std::int64_t>(end) + 1;
      const std::int64_t found = automaton.found(states[t][end]);
      for (std::size_t i = 0; i < Copying::kLengths.size(); ++i) {
        result.pieces[i] += before >= Copying::kLengths[i];
        result.copied[i] += found >= Copying::kLengths[i];
      }
      if (found > result.longest) {
        result.longest = found;
        result.longest_text = t;
        result.longest_begin = before - found;
      }
    }
  }
  return result;
}

}  // namespace zhgpt
