// print_logits CHECKPOINT ID...: the logits after these tokens, a line each, for comparison with other
// programs.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "zhgpt/checkpoint.h"
#include "zhgpt/gpt.h"
#include "zhgpt/inference.h"

int main(int argc, char** argv) {
  using namespace zhgpt;
  std::vector<std::int32_t> ids;
  for (int i = 2; i < argc; ++i) ids.push_back(std::atoi(argv[i]));
  const auto T = static_cast<std::int64_t>(ids.size());
  const Checkpoint checkpoint = Checkpoint::open(argv[1]);
  const auto backend = make_backend("cpu", 1);
  const auto model = make_inference_model(*backend, checkpoint, 1);
  backend->upload(model->inputs(1, T).data, ids.data(), T * 4);
  const Tensor logits = model->last_logits(1, T);
  std::vector<float> values(static_cast<std::size_t>(logits.numel()));
  backend->download(values.data(), logits.data, logits.bytes());
  for (const float value : values) std::printf("%.9g\n", static_cast<double>(value));
}
