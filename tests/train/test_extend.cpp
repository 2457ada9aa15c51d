// A larger vocabulary: nothing that the model knew changes, and training goes on.
#include <algorithm>
#include <cmath>
#include <optional>

#include "base/fingerprint.h"
#include "train/extend_vocabulary.h"
#include "train/fixture.h"
#include "zhgpt/error.h"
#include "zhgpt/inference.h"

namespace zhgpt {
namespace {

using test::TrainerKit;

constexpr std::int64_t kNew = 3;
const std::vector<std::int32_t> kAdded = {0x9F99, 0x51E4, 0x9E9F};  // 龙凤麟: not in made_up_vocabulary

class Extend : public ::testing::TestWithParam<std::int64_t> {
 protected:
  Extend() {
    config_.model.vocab_size = GetParam();
    kit_.emplace(config_, test::made_up_dataset(400, 100, GetParam()));
    test::step_until(**kit_, 4);
    save_checkpoint(file("old.bin"), (*kit_)->snapshot());
    save_checkpoint(file("new.bin"), extend_vocabulary(Checkpoint::open(file("old.bin")), kAdded));
  }
  std::string file(const char* name) const { return directory_.file(name); }

  static std::vector<float> values(const Checkpoint& from, SectionKind kind, const std::string& name) {
    const auto info = std::ranges::find_if(
        from.tensors(), [&](const TensorInfo& t) { return t.kind == kind && t.name == name; });
    std::vector<float> out(static_cast<std::size_t>(info->bytes()) / sizeof(float));
    from.read(kind, name, std::as_writable_bytes(std::span(out)));
    return out;
  }
  // (V) of the last of a few characters.
  static std::vector<float> logits(const Checkpoint& from) {
    const auto backend = make_backend("cpu", 1);
    const auto model = make_inference_model(*backend, from, 1);
    const std::vector<std::int32_t> ids = {1, 5, 2, 23, 7};
    backend->upload(model->inputs(1, 5).data, ids.data(), 5 * 4);
    const Tensor last = model->last_logits(1, 5);
    std::vector<float> out(static_cast<std::size_t>(last.numel()));
    backend->download(out.data(), last.data, last.bytes());
    return out;
  }
  test::TempDirectory directory_;
  Config config_ = test::small_config();
  std::optional<TrainerKit> kit_;
};

// 24 and 300: within one block of the head's product, and over several.
INSTANTIATE_TEST_SUITE_P(Vocabularies, Extend, testing::Values(24, 300));

TEST_P(Extend, OldLogitsKeepEveryBit) {
  const std::vector<float> before = logits(Checkpoint::open(file("old.bin"))),
                           after = logits(Checkpoint::open(file("new.bin")));
  ASSERT_EQ(std::ssize(before), GetParam());
  ASSERT_EQ(std::ssize(after), GetParam() + kNew);
  for (std::size_t id = 0; id < before.size(); ++id) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>(before[id]), std::bit_cast<std::uint32_t>(after[id])) << id;
  }
}

TEST_P(Extend, NewRowsAreTheMeanAndTheirMomentsZero) {
  const std::int64_t V = GetParam(), C = config_.model.n_embd;
  const Checkpoint old = Checkpoint::open(file("old.bin")), grown = Checkpoint::open(file("new.bin"));
  for (const TensorInfo& info : old.tensors()) {
    const std::vector<float> before = values(old, info.kind, info.name),
                             after = values(grown, info.kind, info.name);
    const bool grows = info.name == "wte.weight";
    ASSERT_EQ(std::ssize(after), std::ssize(before) + (grows ? kNew * C : 0)) << info.name;
    EXPECT_EQ(std::memcmp(before.data(), after.data(), before.size() * sizeof(float)), 0) << info.name;
    if (!grows) continue;
    for (std::int64_t c = 0; c < C; ++c) {
      long double sum = 0;
      for (std::int64_t id = 2; id < V; ++id)
        sum += static_cast<long double>(before[static_cast<std::size_t>(id * C + c)]);
      const double mean = info.kind == SectionKind::parameter ? static_cast<double>(sum / (V - 2)) : 0;
      for (std::int64_t row = V; row < V + kNew; ++row) {
        const double found = static_cast<double>(after[static_cast<std::size_t>(row * C + c)]);
        // one rounding to float, of numbers below 1
        EXPECT_TRUE(std::abs(found - mean) <= 1e-7)
            << info.name << " " << row << " " << c << ": " << found << " " << mean;
      }
    }
  }
}

TEST_P(Extend, TheRestIsAsItWas) {
  const Checkpoint old = Checkpoint::open(file("old.bin")), grown = Checkpoint::open(file("new.bin"));
  std::vector<std::int32_t> vocab = old.vocab();
  vocab.insert(vocab.end(), kAdded.begin(), kAdded.end());
  EXPECT_EQ(grown.vocab(), vocab);
  EXPECT_EQ(config_of(grown).model.vocab_size, GetParam() + kNew);
  EXPECT_EQ(grown.step(), old.step());
  EXPECT_EQ(grown.run_id(), old.run_id());
  EXPECT_EQ(grown.history(), old.history());
  EXPECT_EQ(grown.progress().get_quoted("parent"), fingerprint_text(old.state_hash()));
  for (const auto& [key, value] : old.progress().entries()) {
    if (key == "parent") continue;
    EXPECT_EQ(grown.progress().get(key), value) << key;
  }
}

TEST_P(Extend, RowsAreReadInAnyPieces) {
  const Snapshot snapshot = extend_vocabulary(Checkpoint::open(file("old.bin")), kAdded);
  const Checkpoint grown = Checkpoint::open(file("new.bin"));
  const TensorSource& wte =
      *std::ranges::find(snapshot.tensors, "wte.weight", [](const TensorSource& t) { return t.info.name; });
  const std::vector<float> expected = values(grown, SectionKind::parameter, "wte.weight");
  const auto* bytes = reinterpret_cast<const std::byte*>(expected.data());
  for (const std::int64_t size : {1, 7, 64, 100}) {
    std::vector<std::byte> piece(static_cast<std::size_t>(size));
    for (std::int64_t at = 0; at + size <= wte.info.bytes(); at += 61) {
      wte.read(at, piece);
      ASSERT_EQ(std::memcmp(piece.data(), bytes + at, piece.size()), 0) << at << " " << size;
    }
  }
}

TEST_P(Extend, TrainingGoesOnWithTheNewCharacters) {
  Dataset data = test::made_up_dataset(400, 100, GetParam() + kNew);
  data.vocab = Vocabulary::from_code_points(Checkpoint::open(file("new.bin")).vocab());
  TrainerKit kit(Checkpoint::open(file("new.bin")), std::move(data));
  test::step_until(*kit, 8);
  EXPECT_EQ(kit->steps_done(), 8);
  EXPECT_TRUE(std::isfinite(kit->state().loss));
}

TEST_P(Extend, ACheckpointWithoutRowsIsRefused) {
  Snapshot snapshot = (*kit_)->snapshot();
  std::erase_if(snapshot.tensors, [](const TensorSource& t) { return t.info.name == "wte.weight"; });
  save_checkpoint(file("part.bin"), snapshot);
  EXPECT_THROW(extend_vocabulary(Checkpoint::open(file("part.bin")), kAdded), CheckpointError);
  snapshot = (*kit_)->snapshot();
  snapshot.vocab.pop_back();
  save_checkpoint(file("short.bin"), snapshot);
  EXPECT_THROW(extend_vocabulary(Checkpoint::open(file("short.bin")), kAdded), CheckpointError);
}

TEST(MissingCharacters, AreThoseOftenEnoughAndNotKnown) {
  const Vocabulary vocab = Vocabulary::from_code_points(std::vector<std::int32_t>{-1, -2, U'天', U'地'});
  const CharacterCounts counts = {{U'天', 9}, {U'人', 3}, {U'龙', 5}, {U'凤', 3}, {U'一', 1}};
  // 人 and 凤 are equally frequent: U+4EBA comes before U+51E4.
  EXPECT_EQ(missing_characters(vocab, counts, 2), (std::vector<std::int32_t>{U'龙', U'人', U'凤'}));
  EXPECT_EQ(missing_characters(vocab, counts, 6), std::vector<std::int32_t>());
}

}  // namespace
}  // namespace zhgpt
