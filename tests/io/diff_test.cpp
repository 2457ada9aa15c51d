// Comparing checkpoints, and the numbers of their tensors, beside numbers worked out by hand.
#include <cmath>

#include "io/sample.h"
#include "io/tensor_values.h"
#include "zhgpt/checkpoint_diff.h"

namespace zhgpt::test {
namespace {

using Change = TensorDiff::Change;

class Diff : public ::testing::Test {
 protected:
  Checkpoint save(const char* name, const Snapshot& snapshot) const {
    save_checkpoint(directory_.file(name), snapshot);
    return Checkpoint::open(directory_.file(name));
  }
  Checkpoint with(const char* name, std::vector<TensorSource> tensors) const {
    Snapshot snapshot = sample_snapshot();
    snapshot.tensors = std::move(tensors);
    return save(name, snapshot);
  }
  static TensorSource floats(const char* name, std::vector<float> values) {
    const auto count = static_cast<std::int64_t>(values.size());
    return tensor(SectionKind::parameter, name, DType::f32, {count}, std::move(values));
  }
  TempDirectory directory_;
};

TEST_F(Diff, EveryNumberTypeIsReadAsWhatItIs) {
  const auto p = SectionKind::parameter;
  const Checkpoint c =
      with("a.bin", {tensor<float>(p, "f32", DType::f32, {3}, {0.5f, -2.f, 3.f}),
                     tensor<double>(p, "f64", DType::f64, {1}, {1e300}),
                     tensor<std::uint16_t>(p, "bf16", DType::bf16, {2}, {0x3F80, 0xC040}),
                     tensor<std::uint16_t>(p, "f16", DType::f16, {2}, {0x3C00, 0xC200}),
                     tensor<std::int32_t>(p, "i32", DType::i32, {2}, {-7, 9}),
                     tensor<std::int64_t>(p, "i64", DType::i64, {1}, {-(std::int64_t{1} << 40)}),
                     tensor<std::uint16_t>(p, "u16", DType::u16, {1}, {65535}),
                     tensor<std::uint8_t>(p, "u8", DType::u8, {1}, {200})});
  const std::vector<std::vector<double>> expected = {{0.5, -2, 3}, {1e300},     {1, -3}, {1, -3},
                                                     {-7, 9},      {-0x1.0p40}, {65535}, {200}};
  ASSERT_EQ(c.tensors().size(), expected.size());
  for (std::size_t t = 0; t < expected.size(); ++t) {
    TensorPieces pieces(c, c.tensors()[t]);
    ASSERT_TRUE(pieces.next());
    ASSERT_EQ(pieces.count(), std::ssize(expected[t])) << c.tensors()[t].name;
    for (std::size_t i = 0; i < expected[t].size(); ++i) {
      EXPECT_EQ(pieces[static_cast<std::int64_t>(i)], expected[t][i]) << c.tensors()[t].name;
    }
    EXPECT_FALSE(pieces.next());
  }
  EXPECT_EQ(tensor_norm(c, c.tensors()[0]), std::sqrt(0.25 + 4 + 9));
}

TEST_F(Diff, ATensorOfSeveralPiecesIsReadWholeAndInOrder) {
  std::vector<float> values(static_cast<std::size_t>(TensorPieces::kPiece) + 3);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 1000);
  const Checkpoint c = with("a.bin", {floats("long", values)});
  TensorPieces pieces(c, c.tensors()[0]);
  std::size_t seen = 0;
  while (pieces.next()) {
    for (std::int64_t i = 0; i < pieces.count(); ++i)
      ASSERT_EQ(pieces[i], static_cast<double>(values[seen++]));
  }
  EXPECT_EQ(seen, values.size());
}

// S5-29
TEST_F(Diff, EqualStatesAreEqual) {
  const Checkpoint a = save("a.bin", sample_snapshot()), b = save("b.bin", sample_snapshot());
  EXPECT_TRUE(compare_checkpoints(a, b).equal());
}

// S5-4: the same state, whatever it is kept in
TEST_F(Diff, FormatsOfOneStateAreEqual) {
  const Checkpoint a = save("a.bin", sample_snapshot());
  for (const char* name : {"b.json", "b.mpk", "b.safetensors"}) {
    EXPECT_TRUE(compare_checkpoints(a, save(name, sample_snapshot())).equal()) << name;
  }
}

TEST_F(Diff, EachPartOfTheStateCounts) {
  const Checkpoint a = save("a.bin", sample_snapshot());
  int n = 0;
  const auto differs = [&](auto change) {
    Snapshot other = sample_snapshot();
    change(other);
    return !compare_checkpoints(a, save(("b" + std::to_string(n++) + ".bin").c_str(), other)).equal();
  };
  EXPECT_TRUE(differs([](Snapshot& s) { ++s.step; }));
  EXPECT_TRUE(differs([](Snapshot& s) { ++s.run_id[15]; }));
  EXPECT_TRUE(differs([](Snapshot& s) { s.config.set_integer("n_layer", 3); }));
  EXPECT_TRUE(differs([](Snapshot& s) { s.progress.set_real("best_loss", 3.5); }));
  EXPECT_TRUE(differs([](Snapshot& s) { s.progress.set("more", "true"); }));
  EXPECT_TRUE(differs([](Snapshot& s) { s.vocab.push_back(0x4EBA); }));
  EXPECT_TRUE(differs([](Snapshot& s) { s.history.clear(); }));
  EXPECT_TRUE(differs([](Snapshot& s) { s.tensors.pop_back(); }));
  EXPECT_TRUE(differs([](Snapshot& s) { s.tensors.back().info.name += "x"; }));
}

TEST_F(Diff, RecordsAndVocabularyAreComparedByKeyAndCharacter) {
  Snapshot before = sample_snapshot(), after = sample_snapshot();
  before.config.set_integer("gone", 1);
  after.config.set_integer("n_layer", 12);
  after.config.set_integer("come", 2);
  before.vocab = {-1, -2, 0x5929, 0x5730, 0x4EBA};
  after.vocab = {-1, -2, 0x4EBA, 0x5730, 0x9F99, 0x9CE5};
  const CheckpointDiff diff = compare_checkpoints(save("a.bin", before), save("b.bin", after));
  ASSERT_EQ(diff.config.size(), 3u);
  EXPECT_EQ(diff.config[0].key + diff.config[0].a + diff.config[0].b, "n_layer212");
  EXPECT_EQ(diff.config[1].key + diff.config[1].a + diff.config[1].b, "gone1");
  EXPECT_EQ(diff.config[2].key + diff.config[2].a + diff.config[2].b, "come2");
  EXPECT_EQ(diff.added, (std::vector<std::int32_t>{0x9F99, 0x9CE5}));
  EXPECT_EQ(diff.removed, (std::vector<std::int32_t>{0x5929}));
  EXPECT_EQ(diff.moved, (std::vector<std::int32_t>{0x4EBA}));
}

TEST_F(Diff, TensorsAreOrderedByHowMuchTheyChanged) {
  const Checkpoint a =
      with("a.bin", {floats("same", {1, 2}), floats("little", {3, 4}), floats("much", {3, 4}),
                     floats("zero", {0, 0}), floats("sign", {0, 1}), floats("gone", {1})});
  const Checkpoint b =
      with("b.bin", {floats("much", {0, 8}), floats("same", {1, 2}), floats("little", {3, 4.5}),
                     floats("zero", {0, 1}), floats("sign", {-0.f, 1}), floats("come", {1, 2})});
  const CheckpointDiff diff = compare_checkpoints(a, b);
  std::vector<std::string> names;
  for (const TensorDiff& t : diff.tensors) names.push_back(t.name);
  EXPECT_EQ(names, (std::vector<std::string>{"zero", "gone", "come", "much", "little", "sign", "same"}));
  const auto find = [&](const char* name) {
    return *std::ranges::find(diff.tensors, name, &TensorDiff::name);
  };
  EXPECT_EQ(find("much").max_abs, 4);
  EXPECT_EQ(find("much").relative, 1);  // norm of (-3, 4) over norm of (3, 4)
  EXPECT_EQ(find("little").max_abs, 0.5);
  EXPECT_EQ(find("little").relative, 0.1);
  EXPECT_TRUE(std::isinf(find("zero").relative));
  EXPECT_EQ(find("sign").change, Change::values) << "other bits, though the numbers are equal";
  EXPECT_EQ(find("sign").relative, 0);
  EXPECT_EQ(find("same").change, Change::none);
  EXPECT_EQ(find("gone").change, Change::only_a);
  EXPECT_EQ(find("come").change, Change::only_b);
  EXPECT_EQ(find("come").b, "f32(2)");
}

TEST_F(Diff, ShapesAndTypes) {
  const auto p = SectionKind::parameter;
  const Checkpoint a =
      with("a.bin", {floats("shape", {1, 2, 3, 4}), tensor<float>(p, "type", DType::f32, {2}, {1.f, -3.f})});
  const Checkpoint b = with("b.bin", {tensor<float>(p, "shape", DType::f32, {2, 2}, {1.f, 2.f, 3.f, 4.f}),
                                      tensor<std::uint16_t>(p, "type", DType::bf16, {2}, {0x3F80, 0xC040})});
  const CheckpointDiff diff = compare_checkpoints(a, b);
  EXPECT_EQ(diff.tensors[0].change, Change::shape);
  EXPECT_EQ(diff.tensors[0].a + diff.tensors[0].b, "f32(4)f32(2, 2)");
  EXPECT_EQ(diff.tensors[1].change, Change::values) << "the numbers are equal, their type is not";
  EXPECT_EQ(diff.tensors[1].max_abs, 0);
}

TEST_F(Diff, TheSameBytesOfAnotherTypeAreOtherNumbers) {
  const auto p = SectionKind::parameter;
  const Checkpoint a = with("a.bin", {tensor<std::uint16_t>(p, "x", DType::f16, {1}, {0x3C00})});   // 1
  const Checkpoint b = with("b.bin", {tensor<std::uint16_t>(p, "x", DType::bf16, {1}, {0x3C00})});  // 2^-7
  EXPECT_EQ(compare_checkpoints(a, b).tensors[0].change, Change::values);
  EXPECT_EQ(compare_checkpoints(a, b).tensors[0].max_abs, 1 - 0x1p-7);
}

}  // namespace
}  // namespace zhgpt::test
