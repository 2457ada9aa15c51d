#include "text/split.h"

#include <algorithm>
#include <cmath>

#include "text/hasher.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

std::vector<std::uint64_t> document_hashes(Corpus& corpus, std::uint64_t seed) {
  std::vector<std::uint64_t> hashes;
  Hasher hasher(seed);
  corpus.for_each_document([&](std::int64_t, std::span<const char32_t> text) {
    hasher.update(std::as_bytes(text));
    if (!text.empty()) return;
    hashes.push_back(hasher.digest());
    hasher.reset();
  });
  return hashes;
}

Split split_by_place(const Corpus& corpus, double val_fraction) {
  const std::int64_t tokens = corpus.tokens();
  const std::int64_t wanted = std::llround(val_fraction * static_cast<double>(tokens));
  return {{}, tokens - std::clamp<std::int64_t>(wanted, 1, tokens - 1)};
}

}  // namespace

std::uint64_t text_hash(Corpus& corpus, std::uint64_t seed) {
  Hasher hasher(seed);
  constexpr char32_t kEnd[] = {0x110000};  // no character
  corpus.for_each_document([&](std::int64_t, std::span<const char32_t> text) {
    hasher.update(std::as_bytes(text.empty() ? std::span<const char32_t>(kEnd) : text));
  });
  return hasher.digest();
}

Split split_corpus(Corpus& corpus, double val_fraction, std::uint64_t seed, std::vector<std::string>& notes) {
  if (val_fraction == 0) return {};
  if (corpus.documents() < kFewestDocuments) {
    notes.push_back(tr(Msg::split_by_place, corpus.documents(), kFewestDocuments));
    return split_by_place(corpus, val_fraction);
  }
  const std::vector<std::uint64_t> hashes = document_hashes(corpus, seed);
  const auto [lowest, highest] = std::minmax_element(hashes.begin(), hashes.end());
  if (*lowest == *highest) {
    notes.push_back(tr(Msg::split_all_equal, corpus.documents()));
    return split_by_place(corpus, val_fraction);
  }
  // Hashes below the bound are validation. val_fraction < 1, so the product is below 2^64.
  const auto wanted = static_cast<std::uint64_t>(std::ldexp(val_fraction, 64));
  const std::uint64_t bound = std::clamp(wanted, *lowest + 1, *highest);
  if (bound != wanted) notes.push_back(tr(Msg::split_moved, val_fraction));
  Split split;
  for (const std::uint64_t hash : hashes) split.documents.push_back(hash < bound);
  return split;
}

}  // namespace zhgpt
