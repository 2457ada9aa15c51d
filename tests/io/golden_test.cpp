// A file of version 1 of each format, kept for ever: every later program reads it to the same values, and as
// long as version 1 is what is written, writes it to the same bytes.
//
// ZHGPT_REGENERATE_GOLDEN=1 writes the fixtures anew and fails, so that it never happens unnoticed. A file
// that users may have is never regenerated: a new version gets a new fixture beside this one.
#include <cstdlib>

#include <gtest/gtest.h>

#include "io/sample.h"

namespace zhgpt::test {
namespace {

constexpr const char* kFormats[] = {"bin", "json", "mpk", "safetensors"};

std::string golden_file(const std::string& format) {
  return std::string(ZHGPT_TESTS_DIR) + "/fixtures/checkpoint_v1." + format;
}

Snapshot golden_snapshot() {
  Snapshot snapshot;
  snapshot.step = 1234567890123;
  snapshot.run_id = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                     0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF};
  snapshot.config.set_integer("n_layer", 1);
  snapshot.config.set_real("learning_rate", 0.001);
  snapshot.config.set_quoted("document", "第一行\n\"二\"");
  snapshot.progress.set_real("best_loss", 2.0 / 3.0);
  snapshot.vocab = {-1, -2, 0x7684, 0x4E00, 0x20BB7};
  snapshot.history = "{\"step\": 1, \"sample\": \"春眠不觉晓\"}\n";
  snapshot.tensors.push_back(tensor<float>(SectionKind::parameter, "wte.weight", DType::f32, {2, 3},
                                           {0, -0.0f, 1, -1.5f, 3.4028234663852886e38f, 1e-45f}));
  snapshot.tensors.push_back(
      tensor<float>(SectionKind::adam_m, "wte.weight", DType::f32, {2, 3}, {1, 2, 3, 4, 5, 6}));
  snapshot.tensors.push_back(
      tensor<double>(SectionKind::adam_v, "wte.weight", DType::f64, {2, 3}, {0.1, 0.2, 0.3, 0.4, 0.5, 0.6}));
  snapshot.tensors.push_back(
      tensor<std::uint16_t>(SectionKind::parameter, "half", DType::bf16, {1}, {0x3F80}));
  return snapshot;
}
constexpr std::uint64_t kGoldenStateHash = 9903825518245548783u;

class Golden : public ::testing::TestWithParam<const char*> {};

// S1-26, T20
TEST_P(Golden, Version1LoadsToTheSameStateForEver) {
  const std::string file = golden_file(GetParam());
  if (std::getenv("ZHGPT_REGENERATE_GOLDEN")) {
    save_checkpoint(file, golden_snapshot(), true);
    FAIL() << "the fixture was written anew; its state hash is " << state_hash(golden_snapshot());
  }
  const Checkpoint checkpoint = Checkpoint::open(file);
  const Snapshot golden = golden_snapshot();
  EXPECT_EQ(checkpoint.state_hash(), kGoldenStateHash);
  EXPECT_EQ(checkpoint.step(), 1234567890123);
  EXPECT_EQ(checkpoint.run_id(), golden.run_id);
  EXPECT_EQ(checkpoint.config().get_integer("n_layer"), 1);
  EXPECT_EQ(checkpoint.config().get_real("learning_rate"), 0.001);
  EXPECT_EQ(checkpoint.config().get_quoted("document"), "第一行\n\"二\"");
  EXPECT_EQ(checkpoint.progress().get_real("best_loss"), 2.0 / 3.0);
  EXPECT_EQ(checkpoint.vocab(), golden.vocab);
  EXPECT_EQ(checkpoint.history(), golden.history);
  ASSERT_EQ(checkpoint.tensors().size(), 4u);
  EXPECT_EQ(checkpoint.tensors()[2].shape, (std::vector<std::int64_t>{2, 3}));
  double v[6];
  checkpoint.read(SectionKind::adam_v, "wte.weight", std::as_writable_bytes(std::span(v)));
  EXPECT_EQ(v[5], 0.6);
}

// T20
TEST_P(Golden, Version1IsWrittenToTheSameBytes) {
  TempDirectory dir;
  const std::string file = dir.file(std::string("a.") + GetParam());
  save_checkpoint(file, golden_snapshot());
  EXPECT_EQ(file_bytes(file), file_bytes(golden_file(GetParam())));
}

INSTANTIATE_TEST_SUITE_P(Formats, Golden, ::testing::ValuesIn(kFormats),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace zhgpt::test
