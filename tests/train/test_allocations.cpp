// After the first step, a step takes no memory: neither from C++ nor from the C library.
#include <gtest/gtest.h>
#include <malloc.h>

#include "zhgpt/trainer.h"

namespace zhgpt {
namespace {

TEST(Allocations, NoneAfterTheFirstStep) {
  Config config;
  config.model = {.n_layer = 2, .n_head = 2, .n_embd = 32, .block_size = 16, .vocab_size = 40, .dropout = 0.1};
  config.train.batch_size = 3;
  config.train.gradient_accumulation_steps = 2;
  config.train.max_iters = 5000;
  Dataset dataset;
  std::vector<std::int32_t> code_points{-1, -2};
  for (std::int32_t i = 2; i < 40; ++i) code_points.push_back(0x4E00 + i);
  dataset.vocab = Vocabulary::from_code_points(code_points);
  std::vector<std::uint16_t> ids;
  for (int i = 0; i < 500; ++i) ids.push_back(static_cast<std::uint16_t>(2 + i * i % 38));
  dataset.train = token_array(DType::u16, std::as_bytes(std::span(ids)));
  const auto backend = make_backend("cpu", 2);
  Trainer trainer(*backend, config, dataset);
  trainer.step();
  const struct mallinfo2 before = mallinfo2();
  for (int i = 0; i < 4200; ++i) trainer.step();  // past the learning rates that are on the device at a time
  const struct mallinfo2 after = mallinfo2();
  EXPECT_EQ(after.uordblks, before.uordblks);  // bytes in use
  EXPECT_EQ(after.hblkhd, before.hblkhd);      // bytes mapped
}

}  // namespace
}  // namespace zhgpt
