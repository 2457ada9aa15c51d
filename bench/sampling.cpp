// What choosing one token costs the CPU, by the filters that are on: bench_sampling [VOCAB [SECONDS]].
//
// Two kinds of logits: peaked, normal with deviation 3, as of a trained model, and flat, with deviation 0.3,
// as of random weights, of which hardly any can be left out before sorting.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

#include "zhgpt/rng.h"
#include "zhgpt/sampling.h"

using namespace zhgpt;

namespace {

constexpr std::size_t kRows = 64;  // so that no branch is learned by heart

struct Case {
  const char* name;
  SamplingOptions options;
};
const Case kCases[] = {
    {"default", {}},
    {"default and penalties",
     {.repeat_penalty = 1.1, .presence_penalty = 0.1, .frequency_penalty = 0.1, .no_repeat_ngram = 3}},
    {"without top-k", {.top_k = 0}},
    {"top-p 0.95 alone", {.top_k = 0, .min_p = 0}},
    {"no filter", {.top_k = 0, .top_p = 1, .min_p = 0}},
    {"typical 0.9 alone", {.top_k = 0, .typical_p = 0.9, .top_p = 1, .min_p = 0}},
    {"greedy", {.temperature = 0}},
};

// Normal with this deviation, by the sum of twelve uniform numbers.
std::vector<float> logits_of(std::size_t vocab, double deviation) {
  std::vector<float> out(kRows * vocab);
  for (std::size_t i = 0; i < out.size(); ++i) {
    double sum = -6;
    for (std::uint64_t block = 0; block < 3; ++block) {
      for (auto bits : random_block(1, RandomStream::sampling, i, 0, block)) sum += uniform_float(bits);
    }
    out[i] = static_cast<float>(deviation * sum);
  }
  return out;
}

// Microseconds a choice, of processor time, so that other programs do not count: the median over rounds of
// one choice a row.
double measure(const std::vector<float>& logits, std::size_t vocab, const SamplingOptions& options,
               double seconds) {
  std::vector<std::int32_t> text(256);
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<std::int32_t>(2 + i * 7 % (vocab - 2));
  std::vector<double> rounds;
  double total = 0;
  while (total < seconds) {
    const std::clock_t from = std::clock();
    for (std::size_t row = 0; row < kRows; ++row) {
      text.back() = choose_token({logits.data() + row * vocab, vocab}, text, options, 0, row);
    }
    const double s = static_cast<double>(std::clock() - from) / CLOCKS_PER_SEC;
    rounds.push_back(1e6 * s / kRows);
    total += s;
  }
  std::sort(rounds.begin(), rounds.end());
  return rounds[rounds.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const auto vocab = static_cast<std::size_t>(argc > 1 ? std::atoll(argv[1]) : 6000);
  const double seconds = argc > 2 ? std::atof(argv[2]) : 0.3;
  if (vocab < 3) return 2;
  const std::vector<float> peaked = logits_of(vocab, 3), flat = logits_of(vocab, 0.3);
  std::printf("%-24s %10s %10s   us a token, V = %zu\n", "", "peaked", "flat", vocab);
  for (const Case& c : kCases) {
    std::printf("%-24s %10.2f %10.2f\n", c.name, measure(peaked, vocab, c.options, seconds),
                measure(flat, vocab, c.options, seconds));
  }
  return 0;
}
