// What is saved is what is loaded, equal snapshots give equal files, and what may not be saved leaves nothing behind.
#include "zhgpt/checkpoint.h"

#include <limits>

#include <gtest/gtest.h>

#include "io/sample.h"
#include "zhgpt/error.h"

namespace zhgpt::test {
namespace {

void expect_same_tensors(const Checkpoint& checkpoint, const Snapshot& snapshot) {
  ASSERT_EQ(checkpoint.tensors().size(), snapshot.tensors.size());
  for (std::size_t i = 0; i < snapshot.tensors.size(); ++i) {
    const TensorInfo& info = snapshot.tensors[i].info;
    EXPECT_EQ(checkpoint.tensors()[i].kind, info.kind);
    EXPECT_EQ(checkpoint.tensors()[i].name, info.name);
    EXPECT_EQ(checkpoint.tensors()[i].dtype, info.dtype);
    EXPECT_EQ(checkpoint.tensors()[i].shape, info.shape);
    std::vector<std::byte> saved(static_cast<std::size_t>(info.bytes())), loaded(saved.size());
    snapshot.tensors[i].read(0, saved);
    checkpoint.read(info.kind, info.name, loaded);
    EXPECT_EQ(loaded, saved) << info.name;
  }
}

void expect_same(const Checkpoint& checkpoint, const Snapshot& snapshot) {
  EXPECT_EQ(checkpoint.step(), snapshot.step);
  EXPECT_EQ(checkpoint.run_id(), snapshot.run_id);
  EXPECT_EQ(checkpoint.config().entries(), snapshot.config.entries());
  EXPECT_EQ(checkpoint.progress().entries(), snapshot.progress.entries());
  EXPECT_EQ(checkpoint.vocab(), snapshot.vocab);
  EXPECT_EQ(checkpoint.history(), snapshot.history);
  EXPECT_EQ(checkpoint.state_hash(), state_hash(snapshot));
  expect_same_tensors(checkpoint, snapshot);
}

TEST(Checkpoint, LoadsWhatWasSaved) {
  TempDirectory dir;
  const Snapshot snapshot = sample_snapshot();
  save_checkpoint(dir.file("a.bin"), snapshot);
  expect_same(Checkpoint::open(dir.file("a.bin")), snapshot);
  EXPECT_EQ(Checkpoint::open(dir.file("a.bin")).file_bytes(), static_cast<std::int64_t>(file_bytes(dir.file("a.bin")).size()));
}

TEST(Checkpoint, LoadsAnEmptyState) {
  TempDirectory dir;
  save_checkpoint(dir.file("a.bin"), Snapshot{});
  expect_same(Checkpoint::open(dir.file("a.bin")), Snapshot{});
}

TEST(Checkpoint, EveryDtypeScalarsAndEightDimensions) {
  TempDirectory dir;
  Snapshot snapshot = sample_snapshot();
  snapshot.tensors.push_back(tensor<double>(SectionKind::parameter, "f64", DType::f64, {2}, {1e300, -5e-324}));
  snapshot.tensors.push_back(tensor<std::uint16_t>(SectionKind::parameter, "bf16", DType::bf16, {2}, {0x7F7F, 0x8000}));
  snapshot.tensors.push_back(tensor<std::int64_t>(SectionKind::parameter, "i64", DType::i64, {1}, {INT64_MIN}));
  snapshot.tensors.push_back(tensor<std::int32_t>(SectionKind::parameter, "i32", DType::i32, {1}, {-1}));
  snapshot.tensors.push_back(tensor<std::uint16_t>(SectionKind::parameter, "u16", DType::u16, {1}, {0xFFFF}));
  snapshot.tensors.push_back(tensor<std::uint8_t>(SectionKind::parameter, "u8", DType::u8, {1, 1, 1, 1, 1, 1, 1, 3}, {0, 128, 255}));
  snapshot.tensors.push_back(tensor<float>(SectionKind::parameter, "scalar", DType::f32, {}, {-0.0f}));
  save_checkpoint(dir.file("a.bin"), snapshot);
  expect_same(Checkpoint::open(dir.file("a.bin")), snapshot);
}

// Larger than a chunk, so that it is streamed in pieces; every piece has a hash of its own.
TEST(Checkpoint, TensorsOfSeveralChunks) {
  TempDirectory dir;
  Snapshot snapshot = sample_snapshot();
  std::vector<std::uint32_t> values(((16 << 20) + 4096) / 4);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::uint32_t>(i * 2654435761u) & 0x3FFFFFFF;
  const auto rows = static_cast<std::int64_t>(values.size());
  snapshot.tensors.push_back(tensor(SectionKind::parameter, "big", DType::f32, {rows}, values));
  save_checkpoint(dir.file("a.bin"), snapshot);
  expect_same(Checkpoint::open(dir.file("a.bin")), snapshot);

  Bytes bytes = file_bytes(dir.file("a.bin"));
  const std::size_t in_second_chunk = 8 * 4096 + (16 << 20) + 100;
  bytes[in_second_chunk] ^= 1;
  put_file(dir.file("b.bin"), bytes);
  EXPECT_NE(refusal(dir.file("b.bin")).find("byte " + std::to_string(8 * 4096 + (16 << 20))), std::string::npos)
      << refusal(dir.file("b.bin"));
}

TEST(Checkpoint, EqualSnapshotsGiveEqualFiles) {
  TempDirectory dir;
  save_checkpoint(dir.file("a.bin"), sample_snapshot());
  save_checkpoint(dir.file("b.bin"), sample_snapshot());
  EXPECT_EQ(file_bytes(dir.file("a.bin")), file_bytes(dir.file("b.bin")));
}

TEST(Checkpoint, StateHashSeesEveryPartOfTheState) {
  const std::uint64_t base = state_hash(sample_snapshot());
  Snapshot other = sample_snapshot();
  other.step = 99;  // not a part of the state that tensors hold
  EXPECT_EQ(state_hash(other), base);
  other.tensors[0].info.name = "x";
  EXPECT_NE(state_hash(other), base);
  other = sample_snapshot();
  other.tensors[0].info.kind = SectionKind::adam_v;
  EXPECT_NE(state_hash(other), base);
  other = sample_snapshot();
  other.tensors[0].info.shape = {3, 5};
  EXPECT_NE(state_hash(other), base);
  other = sample_snapshot();
  other.tensors[0].info.dtype = DType::i32;
  EXPECT_NE(state_hash(other), base);
  other = sample_snapshot();
  std::swap(other.tensors[0], other.tensors[1]);
  EXPECT_NE(state_hash(other), base);
  EXPECT_NE(state_hash(sample_snapshot(8)), base);
}

TEST(Checkpoint, AnExistingFileIsRefusedUnlessAsked) {
  TempDirectory dir;
  save_checkpoint(dir.file("a.bin"), sample_snapshot(1));
  const Bytes before = file_bytes(dir.file("a.bin"));
  EXPECT_THROW(save_checkpoint(dir.file("a.bin"), sample_snapshot(2)), IoError);
  EXPECT_EQ(file_bytes(dir.file("a.bin")), before);
  save_checkpoint(dir.file("a.bin"), sample_snapshot(2), true);
  EXPECT_EQ(Checkpoint::open(dir.file("a.bin")).step(), 2);
}

// Each is refused with a CheckpointError, and the directory stays as it was.
void expect_not_saved(const Snapshot& snapshot, const std::string& what) {
  TempDirectory dir;
  try {
    save_checkpoint(dir.file("a.bin"), snapshot);
    ADD_FAILURE() << "was saved: " << what;
  } catch (const CheckpointError& error) {
    EXPECT_NE(std::string(error.what()).find(what), std::string::npos) << error.what();
  }
  EXPECT_TRUE(dir.names().empty());
}

TEST(Checkpoint, ValuesThatAreNotFiniteAreNotSaved) {
  for (const float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()}) {
    for (const std::size_t at : {std::size_t{0}, std::size_t{1500}, std::size_t{2999}}) {
      Snapshot snapshot = sample_snapshot();
      std::vector<float> values(3000, std::numeric_limits<float>::max());
      values[at] = bad;
      snapshot.tensors.push_back(tensor(SectionKind::parameter, "bad", DType::f32, {3000}, values));
      expect_not_saved(snapshot, "element " + std::to_string(at));
    }
  }
  Snapshot snapshot = sample_snapshot();
  snapshot.tensors.push_back(tensor<double>(SectionKind::parameter, "bad", DType::f64, {1}, {std::numeric_limits<double>::infinity()}));
  expect_not_saved(snapshot, "\"bad\"");
  snapshot.tensors.back() = tensor<std::uint16_t>(SectionKind::parameter, "bad", DType::bf16, {1}, {0xFF80});
  expect_not_saved(snapshot, "\"bad\"");
  snapshot.tensors.back() = tensor<std::uint16_t>(SectionKind::parameter, "ids", DType::u16, {1}, {0xFF80});
  TempDirectory dir;
  save_checkpoint(dir.file("a.bin"), snapshot);  // integers have no such values
}

TEST(Checkpoint, BadDescriptionsAreNotSaved) {
  for (const std::string name : {"", "../../x", "/etc/passwd", "a b", "\xE5\xA4\xA9", "a\n"}) {
    Snapshot snapshot = sample_snapshot();
    snapshot.tensors[0].info.name = name;
    expect_not_saved(snapshot, "[A-Za-z0-9._-]{1,255}");
  }
  Snapshot snapshot = sample_snapshot();
  snapshot.tensors[0].info.name = std::string(256, 'a');
  expect_not_saved(snapshot, "[A-Za-z0-9._-]{1,255}");
  snapshot = sample_snapshot();
  snapshot.tensors[1].info.kind = SectionKind::parameter;
  expect_not_saved(snapshot, "same name");
  snapshot = sample_snapshot();
  snapshot.tensors[0].info.shape = {5, 0};
  expect_not_saved(snapshot, "dimension");
  snapshot = sample_snapshot();
  snapshot.tensors[0].info.shape = {INT64_MAX, INT64_MAX};
  expect_not_saved(snapshot, "dimension");
  snapshot = sample_snapshot();
  snapshot.tensors[0].info.shape = {1, 1, 1, 1, 1, 1, 1, 1, 15};
  expect_not_saved(snapshot, "0..8");
  snapshot = sample_snapshot();
  snapshot.step = -1;
  expect_not_saved(snapshot, ">= 0");
  snapshot = sample_snapshot();
  snapshot.history = "\x1b[2J";
  expect_not_saved(snapshot, "history");
  for (const std::string value : {"1\n????", "1\nb = 2", " 1", "\xFF"}) {
    snapshot = sample_snapshot();
    snapshot.config.set("a", value);
    expect_not_saved(snapshot, "config");
  }
}

TEST(Checkpoint, ReadsOnlyTensorsThatAreThereInTheirSize) {
  TempDirectory dir;
  save_checkpoint(dir.file("a.bin"), sample_snapshot());
  const Checkpoint checkpoint = Checkpoint::open(dir.file("a.bin"));
  std::vector<std::byte> to(60), shorter(56);
  checkpoint.read(SectionKind::adam_m, "h.0.attn.c_attn.weight", to);
  EXPECT_THROW(checkpoint.read(SectionKind::adam_m, "h.0.attn.c_attn.weight", shorter), CheckpointError);
  EXPECT_THROW(checkpoint.read(SectionKind::parameter, "nothing", to), CheckpointError);
}

TEST(Checkpoint, AChangeSinceOpenIsFound) {
  TempDirectory dir;
  save_checkpoint(dir.file("a.bin"), sample_snapshot());
  const Checkpoint checkpoint = Checkpoint::open(dir.file("a.bin"));
  Bytes bytes = file_bytes(dir.file("a.bin"));
  bytes[5 * 4096] ^= 1;  // the first tensor
  put_file(dir.file("a.bin"), bytes);
  std::vector<std::byte> to(60);
  EXPECT_THROW(checkpoint.read(SectionKind::parameter, "h.0.attn.c_attn.weight", to), CheckpointError);
  std::filesystem::resize_file(dir.file("a.bin"), 5 * 4096 + 10);
  EXPECT_THROW(checkpoint.read(SectionKind::parameter, "h.0.attn.c_attn.weight", to), CheckpointError);
}

TEST(NewestCheckpoint, IsTheHighestStepThatVerifies) {
  TempDirectory dir;
  EXPECT_FALSE(open_newest_checkpoint(dir.path()).has_value());
  save_checkpoint(dir.file("z.bin"), sample_snapshot(10));
  save_checkpoint(dir.file("a.bin"), sample_snapshot(30));  // judged by contents: names say nothing
  save_checkpoint(dir.file("m.bin"), sample_snapshot(20));
  save_checkpoint(dir.file("other.txt"), sample_snapshot(99));
  std::filesystem::create_directory(dir.file("d.bin"));
  std::filesystem::create_symlink(dir.file("other.txt"), dir.file("link.bin"));
  std::vector<std::string> skipped;
  EXPECT_EQ(open_newest_checkpoint(dir.path(), &skipped)->step(), 30);
  EXPECT_TRUE(skipped.empty());

  std::filesystem::resize_file(dir.file("a.bin"), std::filesystem::file_size(dir.file("a.bin")) - 1);
  EXPECT_EQ(open_newest_checkpoint(dir.path(), &skipped)->step(), 20);
  ASSERT_EQ(skipped.size(), 1u);
  EXPECT_NE(skipped[0].find("a.bin"), std::string::npos);

  put_file(dir.file("b.bin"), Bytes(10));  // no header to judge by: told as well
  skipped.clear();
  EXPECT_EQ(open_newest_checkpoint(dir.path(), &skipped)->step(), 20);
  EXPECT_EQ(skipped.size(), 2u);
}

TEST(NewestCheckpoint, NoneWholeIsNone) {
  TempDirectory dir;
  put_file(dir.file("a.bin"), Bytes(10000));
  EXPECT_FALSE(open_newest_checkpoint(dir.path()).has_value());
  EXPECT_THROW(open_newest_checkpoint(dir.file("missing")), IoError);
}

}  // namespace
}  // namespace zhgpt::test
