#include "text/kneser_ney.h"

#include <algorithm>

namespace zhgpt {
namespace {

// SplitMix64's finaliser (G. Steele, D. Lea, C. Flood, 2014), which spreads every bit over all.
std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}
constexpr std::uint64_t kEmpty = 1;  // the key of no tokens

// The key of a sequence with one more token before it.
std::uint64_t preceded(std::uint64_t key, std::int32_t token) {
  return std::max<std::uint64_t>(1, mix(key + 0x9E3779B97F4A7C15u * (static_cast<std::uint64_t>(token) + 1)));
}

}  // namespace

std::size_t KneserNey::Table::place(std::uint64_t key) const {
  std::size_t i = key & (slots_.size() - 1);
  while (slots_[i].key != 0 && slots_[i].key != key) i = (i + 1) & (slots_.size() - 1);
  return i;
}

const KneserNey::Entry* KneserNey::Table::find(std::uint64_t key) const {
  const Entry& entry = slots_[place(key)];
  return entry.key == 0 ? nullptr : &entry;
}

KneserNey::Entry& KneserNey::Table::at(std::uint64_t key) {
  if (Entry& found = slots_[place(key)]; found.key != 0) return found;
  if (++used_ > slots_.size() / 4 * 3) {
    std::vector<Entry> old(slots_.size() * 2);
    std::swap(old, slots_);
    for (const Entry& entry : old) {
      if (entry.key != 0) slots_[place(entry.key)] = entry;
    }
  }
  Entry& made = slots_[place(key)];
  made.key = key;
  return made;
}

KneserNey::Keys KneserNey::context_keys() const {
  Keys keys{kEmpty};
  for (std::size_t i = 0; i < known_; ++i) keys[i + 1] = preceded(keys[i], history_[i]);
  return keys;
}

double KneserNey::discount(std::size_t order) const {
  return (static_cast<double>(once_[order]) + 1) /
         (static_cast<double>(once_[order] + 2 * twice_[order]) + 2);
}

double KneserNey::probability(std::int32_t x) const {
  const Keys contexts = context_keys();
  double p = 1 / vocab_size_;
  std::uint64_t sequence = preceded(kEmpty, x);
  for (std::size_t length = 0; length <= known_; ++length) {
    const Entry* context = tables_[length].find(contexts[length]);
    if (!context || context->total == 0) break;  // then longer ones are new too
    const Entry* found = tables_[length + 1].find(sequence);
    const double d = discount(length + 1);
    p = (std::max(found ? found->count - d : 0.0, 0.0) + d * context->kinds * p) / context->total;
    if (length < known_) sequence = preceded(sequence, history_[length]);
  }
  return p;
}

void KneserNey::learn(std::int32_t x) {
  const Keys contexts = context_keys();
  Keys sequences{kEmpty, preceded(kEmpty, x)};
  for (std::size_t i = 0; i < known_; ++i) sequences[i + 2] = preceded(sequences[i + 1], history_[i]);
  for (std::size_t length = known_ + 1; length-- > 0;) {
    const std::uint32_t count = ++tables_[length + 1].at(sequences[length + 1]).count;
    Entry& context = tables_[length].at(contexts[length]);
    ++context.total;
    context.kinds += count == 1;
    once_[length + 1] += (count == 1) - (count == 2);
    twice_[length + 1] += (count == 2) - (count == 3);
    if (count > 1) break;
  }
  std::copy_backward(history_.begin(), history_.end() - 1, history_.end());
  history_[0] = x;
  known_ = std::min(known_ + 1, kOrder - 1);
}

}  // namespace zhgpt
