// bench_weights DIR|FILE [CHARACTERS]: how well a model predicts the validation text of its run when it
// writes with f32, bf16 and int8 weights: loss in nats a character and perplexity, over so many characters
// (20000 if not told otherwise), each document from its beginning as a Generator reads it.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "cli/loaded_model.h"
#include "zhgpt/error.h"
#include "zhgpt/sampler.h"

using namespace zhgpt;

namespace {

double loss_of(std::span<const float> logits, std::int32_t target) {
  const float most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x) - static_cast<double>(most));
  return std::log(sum) + static_cast<double>(most) -
         static_cast<double>(logits[static_cast<std::size_t>(target)]);
}

double mean_loss(Gpt& model, WeightType weights, const TokenArray& text, std::int64_t count) {
  Generator generator(model, 1, weights);
  generator.start({}, 0);
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    sum += loss_of(generator.logits(), text[i]);
    if (text[i] == kEndOfTextId) {
      generator.start({}, 0);
    } else {
      generator.append(text[i]);
    }
  }
  return sum / static_cast<double>(count);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_weights DIR|FILE [CHARACTERS]\n");
    return 2;
  }
  cli::LoadedModel loaded(argv[1], "best", "cpu", 0, 1);
  const auto run = cli::dataset_beside(loaded.checkpoint);
  const std::int64_t count =
      std::min<std::int64_t>(argc > 2 ? std::atoll(argv[2]) : 20000, run ? run->val.count : 0);
  if (count == 0) throw DataError("no validation text beside " + loaded.checkpoint.path());
  std::printf("%lld characters of validation text\n", static_cast<long long>(count));
  for (const char* weights : {"f32", "bf16", "int8"}) {
    const double loss = mean_loss(*loaded.model, weight_type_of(weights), run->val, count);
    std::printf("%-4s loss=%.5f perplexity=%.3f\n", weights, loss, std::exp(loss));
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
