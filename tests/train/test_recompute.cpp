// Recompute: what backward computes again instead of keeping it costs no bit and saves the bytes that it
// says.
#include "support/device.h"
#include "train/fixture.h"

namespace zhgpt::test {
namespace {

using Recompute = Gpt::Recompute;

constexpr std::int64_t B = 2, T = 32, N = B * T, L = 3, NH = 2, C = 64;

ModelConfig three_blocks() {
  return {.n_layer = L, .n_head = NH, .n_embd = C, .block_size = T, .vocab_size = 37, .dropout = 0.1};
}

class Recomputed : public OnDevice {
 protected:
  Gpt model(Recompute recompute) {
    return {bench().backend(), three_blocks(), B, Gpt::Purpose::training, bench().dtype(), recompute};
  }

  // Losses and gradients of one batch with dropout, as bytes.
  std::vector<char> outcome(Recompute recompute) {
    Gpt gpt = model(recompute);
    gpt.set_parameters(gpt.table().initial_values(7));
    const auto ids = made_up_ids(N + 1, 37, 3);
    bench().backend().upload(gpt.inputs(B, T).data, ids.data(), N * 4);
    bench().backend().upload(gpt.targets(B, T).data, ids.data() + 1, N * 4);
    gpt.forward_backward(B, T, 1.0 / N, {.p = 0.1F, .state = bench().state({.step = 5, .seed = 11})});
    std::vector<char> all = bench().bits(gpt.losses(B, T));
    const std::vector<char> grads = bench().bits(gpt.grads());
    all.insert(all.end(), grads.begin(), grads.end());
    return all;
  }
};

TEST_P(Recomputed, GradientsKeepEveryBit) {
  const auto kept = outcome(Recompute::none);
  EXPECT_TRUE(outcome(Recompute::gelu) == kept);
  EXPECT_TRUE(outcome(Recompute::block) == kept);
}

TEST_P(Recomputed, MemoryShrinksByWhatIsNotKept) {
  const std::int64_t real = dtype_bytes(bench().dtype()), exact = dtype_bytes(bench().exact_dtype());
  const std::int64_t none = model(Recompute::none).activation_bytes(),
                     gelu = model(Recompute::gelu).activation_bytes(),
                     block = model(Recompute::block).activation_bytes();
  // All blocks but one: pre_gelu and gelu; then ln_1, attention, residual_1, ln_2, qkv, and statistics.
  EXPECT_EQ(none - gelu, (L - 1) * (2 * N * 4 * C * real));
  EXPECT_EQ(gelu - block, (L - 1) * (N * (4 + 3) * C * real + (4 * N + N * NH) * exact));
}

ZHGPT_ON_EVERY_DEVICE(Recomputed);

TEST(RecomputeSetting, ARunThatChangesItEndsTheSame) {
  Config config = small_config();
  config.model.dropout = 0.2;
  const auto data = [] { return made_up_dataset(900, 40, 24); };
  TrainerKit stays(config, data());
  step_until(*stays, 12);

  const TempDirectory directory;
  std::int64_t stop = 4;
  auto kit = std::make_unique<TrainerKit>(config, data());
  for (const char* next : {"block", "gelu"}) {
    step_until(**kit, stop, nullptr);
    stop += 4;
    save_checkpoint(directory.file("state.bin"), (*kit)->snapshot(), true);
    const Checkpoint checkpoint = Checkpoint::open(directory.file("state.bin"));
    EXPECT_EQ(config_of(checkpoint).train.recompute, config.train.recompute);  // it travels in the file
    config.train.recompute = next;
    kit = std::make_unique<TrainerKit>(checkpoint, config, data(), 1);
  }
  step_until(**kit, 12);
  EXPECT_EQ(state_hash((*kit)->snapshot()), state_hash(stays->snapshot()));
}

}  // namespace
}  // namespace zhgpt::test
