// What simpler models need for the same text; see zhgpt/dataset.h. All of them first read `fit`, then predict
// each token of `text` before they learn it.
//
//   uniform   ln V
//   unigram   p(x) = (n(x) + 1/2) / (N + V/2)                (R. Krichevsky, V. Trofimov, 1981)
//   bigram    p(x|c) = (n(cx) + t(c) p(x)) / (n(c) + t(c)), t(c) the number of different tokens seen after c,
//             p(x) the unigram (A. Moffat, "Implementing the PPM data compression scheme", 1990, method C,
//             interpolated)
//   5-gram    kneser_ney.h
//   xz        the bytes that `text` adds to the LZMA2 stream of `fit`, as UTF-8 with a NUL for <|endoftext|>
#include <lzma.h>

#include <algorithm>
#include <cmath>
#include <new>
#include <string>
#include <unordered_map>
#include <vector>

#include "text/kneser_ney.h"
#include "zhgpt/dataset.h"

namespace zhgpt {
namespace {

class CountModel {
 public:
  explicit CountModel(std::int64_t vocab_size)
      : vocab_size_(static_cast<double>(vocab_size)), contexts_(static_cast<std::size_t>(vocab_size)) {
    unigrams_.resize(static_cast<std::size_t>(vocab_size));
  }

  double unigram(std::int32_t x) const {
    return (static_cast<double>(unigrams_[at(x)]) + 0.5) / (static_cast<double>(total_) + vocab_size_ / 2);
  }
  double bigram(std::int32_t x) const {
    if (context_ < 0) return unigram(x);
    const Context& c = contexts_[at(context_)];
    if (c.total == 0) return unigram(x);
    const auto found = pairs_.find(pair(x));
    const double seen = found == pairs_.end() ? 0 : static_cast<double>(found->second);
    const auto kinds = static_cast<double>(c.kinds);
    return (seen + kinds * unigram(x)) / (static_cast<double>(c.total) + kinds);
  }
  void learn(std::int32_t x) {
    ++unigrams_[at(x)];
    ++total_;
    if (context_ >= 0) {
      Context& c = contexts_[at(context_)];
      ++c.total;
      c.kinds += ++pairs_[pair(x)] == 1;
    }
    context_ = x;
  }

 private:
  struct Context {
    std::int64_t total = 0, kinds = 0;
  };
  static std::size_t at(std::int32_t id) { return static_cast<std::size_t>(id); }
  std::uint64_t pair(std::int32_t x) const {
    return static_cast<std::uint64_t>(context_) << 32 | static_cast<std::uint32_t>(x);
  }

  double vocab_size_;
  std::vector<std::int64_t> unigrams_;
  std::vector<Context> contexts_;
  std::unordered_map<std::uint64_t, std::int64_t> pairs_;
  std::int64_t total_ = 0;
  std::int32_t context_ = -1;  // the token before
};

// Counts the bytes that a compressor puts out.
class XzCounter {
 public:
  XzCounter() {
    const lzma_ret result = lzma_easy_encoder(&stream_, kPreset, LZMA_CHECK_NONE);
    if (result != LZMA_OK) throw std::bad_alloc();
  }
  XzCounter(const XzCounter&) = delete;
  XzCounter& operator=(const XzCounter&) = delete;
  ~XzCounter() { lzma_end(&stream_); }

  // Everything from token `begin` on, flushed: the bytes put out so far, in all.
  std::uint64_t compress(const TokenArray& tokens, std::int64_t begin, const Vocabulary& vocab) {
    std::string utf8;
    for (std::int64_t i = begin; i < tokens.count; ++i) {
      const std::int32_t id = tokens[i];
      utf8 += id == kEndOfTextId ? std::string(1, '\0') : vocab.text(id);
      if (utf8.size() >= kPieceBytes) {
        run(utf8, LZMA_RUN);
        utf8.clear();
      }
    }
    run(utf8, LZMA_SYNC_FLUSH);
    return stream_.total_out;
  }

  static constexpr std::uint32_t kPreset = 6;
  // Nothing further back is remembered: preset 6 has a window of 8 MiB, and a Chinese character takes three
  // bytes.
  static constexpr std::int64_t kWindowTokens = (8 << 20) / 3;

 private:
  static constexpr std::size_t kPieceBytes = 1 << 16;

  void run(const std::string& input, lzma_action action) {
    stream_.next_in = reinterpret_cast<const std::uint8_t*>(input.data());
    stream_.avail_in = input.size();
    lzma_ret result = LZMA_OK;
    do {
      std::uint8_t output[1 << 14];
      stream_.next_out = output;
      stream_.avail_out = sizeof output;
      result = lzma_code(&stream_, action);
      if (result == LZMA_MEM_ERROR) throw std::bad_alloc();
    } while (result == LZMA_OK && (action == LZMA_SYNC_FLUSH || stream_.avail_in > 0));
  }

  lzma_stream stream_ = LZMA_STREAM_INIT;
};

double xz_nats(const TokenArray& fit, const TokenArray& text, const Vocabulary& vocab) {
  XzCounter counter;
  const std::int64_t begin = std::max<std::int64_t>(0, fit.count - XzCounter::kWindowTokens);
  const std::uint64_t before = counter.compress(fit, begin, vocab);
  const std::uint64_t after = counter.compress(text, 0, vocab);
  return static_cast<double>(after - before) * 8 * std::log(2.0) / static_cast<double>(text.count);
}

}  // namespace

Baselines compute_baselines(const TokenArray& fit, const TokenArray& text, const Vocabulary& vocab) {
  Baselines result;
  result.uniform = std::log(static_cast<double>(vocab.size()));
  if (text.count == 0) return result;
  CountModel model(vocab.size());
  for (std::int64_t i = 0; i < fit.count; ++i) model.learn(fit[i]);
  for (std::int64_t i = 0; i < text.count; ++i) {
    result.unigram -= std::log(model.unigram(text[i]));
    result.bigram -= std::log(model.bigram(text[i]));
    model.learn(text[i]);
  }
  result.unigram /= static_cast<double>(text.count);
  result.bigram /= static_cast<double>(text.count);
  result.xz = xz_nats(fit, text, vocab);
  return result;
}

double five_gram_nats(const TokenArray& fit, const TokenArray& text, std::int64_t vocab_size) {
  KneserNey model(vocab_size);
  for (std::int64_t i = std::max<std::int64_t>(0, fit.count - kFiveGramTokens); i < fit.count; ++i)
    model.learn(fit[i]);
  double nats = 0;
  for (std::int64_t i = 0; i < text.count; ++i) {
    nats -= std::log(model.probability(text[i]));
    if (i < kFiveGramTokens) model.learn(text[i]);
  }
  return nats / static_cast<double>(std::max<std::int64_t>(1, text.count));
}

}  // namespace zhgpt
