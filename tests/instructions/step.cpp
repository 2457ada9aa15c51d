// count_steps STEPS: so many training steps of a tiny model, on one thread, for check.sh to count
// instructions in.
//
// Few positions, so that products do not hide the passes over parameters and gradients: one pass more shows.
#include <cstdio>
#include <cstdlib>

#include "zhgpt/rng.h"
#include "zhgpt/trainer.h"

int main(int argc, char** argv) {
  using namespace zhgpt;
  if (argc != 2) return 2;
  Config config;
  config.model = {
      .n_layer = 2, .n_head = 2, .n_embd = 32, .block_size = 8, .vocab_size = 200, .dropout = 0.1};
  config.train.batch_size = 1;
  config.train.max_iters = 1000;
  Dataset dataset;
  std::vector<std::uint16_t> ids;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const PhiloxBlock r = random_block(1, RandomStream::split, 0, 0, i);
    ids.push_back(static_cast<std::uint16_t>(uniform_below(r[0], r[1], 200)));
  }
  dataset.train = token_array(DType::u16, std::as_bytes(std::span(ids)));
  const auto backend = make_backend("cpu", 1);
  Trainer trainer(*backend, config, dataset);
  for (long step = 0; step < std::atol(argv[1]); ++step) {
    trainer.step();
    trainer.finished_steps(true);
  }
  std::printf("loss %.6f\n", static_cast<double>(trainer.state().loss));
  return 0;
}
