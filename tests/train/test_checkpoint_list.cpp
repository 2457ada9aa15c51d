// What a directory of checkpoints is taken for: the list, the way back, and what may be removed.
#include <algorithm>
#include <cmath>

#include "base/fingerprint.h"
#include "train/fixture.h"
#include "train/versions.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/checkpoint_list.h"
#include "zhgpt/error.h"

namespace zhgpt {
namespace {

namespace fs = std::filesystem;
using test::TrainerKit;

class List : public ::testing::Test {
 protected:
  List() : kit_(test::small_config(), test::made_up_dataset(400, 100, 24)) {}
  std::string path() const { return directory_.path(); }
  std::string file(const std::string& name) const { return directory_.file(name); }
  // The trainer's state after `step` steps, with what a run would know.
  void save(const std::string& name, std::int64_t step, double val_loss = -1,
            const std::string& parent = "") {
    test::step_until(*kit_, step);
    Snapshot snapshot = kit_->snapshot();
    if (val_loss >= 0) {
      snapshot.progress.set_real("last_val_loss", val_loss);
      snapshot.progress.set_integer("last_evaluation_step", step);
    }
    snapshot.progress.set_quoted("parent", parent);
    snapshot.progress.set_quoted("command", "zhgpt train 诗.txt");
    fs::create_directories(fs::path(file(name)).parent_path());
    save_checkpoint(file(name), snapshot);
  }
  void damage(const std::string& name) const {
    std::string bytes = test::contents(file(name));
    bytes[bytes.size() / 2] ^= 1;
    std::ofstream(file(name), std::ios::binary) << bytes;
  }
  test::TempDirectory directory_;
  TrainerKit kit_;
};

// S1-41, S4-17, S2-25
TEST_F(List, HoldsEveryCheckpointBelowByStep) {
  save("step_00000001.bin", 1);
  save("versions/初版.bin", 2);
  save("epoch_000001.bin", 3, 4.5, "00000000000000aa");
  save("step_00000003.bin.old", 3);
  save("broken.bin", 4);
  damage("broken.bin");
  write_text_file(file("latest"), "epoch_000001.bin\n");
  write_text_file(file("best"), "epoch_000001.bin\n");
  for (const char* name : {"copy.json", "copy.mpk", "copy.safetensors"}) {
    save_checkpoint(file(name), snapshot_of(Checkpoint::open(file("epoch_000001.bin"))));
  }
  write_text_file(file("vocab.json"), "{\"format\": \"zhgpt-vocab\"}");
  write_text_file(file("epoch_000001.json"), "{\"format\": \"zhgpt-summary\", \"step\": 3}");
  write_text_file(file("other.json"), "{}");
  write_text_file(file(".hidden.bin"), "x");
  fs::create_symlink(file("epoch_000001.bin"), file("link.bin"));

  const auto entries = list_checkpoints(path());
  std::vector<std::string> names;
  for (const CheckpointEntry& e : entries) names.push_back(e.name);
  EXPECT_EQ(names, (std::vector<std::string>{"step_00000001.bin", "versions/初版.bin", "copy.json",
                                             "copy.mpk", "copy.safetensors", "epoch_000001.bin",
                                             "step_00000003.bin.old", "broken.bin"}));
  for (const std::size_t i : {2, 3, 4}) EXPECT_EQ(entries[i].state_hash, entries[5].state_hash) << i;
  const CheckpointEntry& e = entries[5];
  EXPECT_TRUE(e.is_whole());
  EXPECT_EQ(e.step, 3);
  EXPECT_EQ(e.val_loss, 4.5);
  EXPECT_EQ(e.bytes, static_cast<std::int64_t>(fs::file_size(file(e.name))));
  EXPECT_EQ(e.state_hash, fingerprint_text(Checkpoint::open(file(e.name)).state_hash()));
  EXPECT_EQ(e.parent, "00000000000000aa");
  EXPECT_EQ(e.corpus, "0123456789abcdef");
  EXPECT_EQ(e.command, "zhgpt train 诗.txt");
  EXPECT_EQ(e.pointers, (std::vector<std::string>{"latest", "best"}));
  EXPECT_TRUE(std::isnan(entries[0].val_loss)) << "it was not evaluated at this step";
  EXPECT_FALSE(entries[7].is_whole());
  EXPECT_EQ(entries[7].step, 4) << "its header is whole";
  EXPECT_NE(entries[7].damage.find("broken.bin"), std::string::npos);
  EXPECT_THROW(list_checkpoints(file("nowhere")), IoError);
}

TEST(Lineage, GoesBackThroughParentsThatAreThere) {
  const auto entry = [](const char* hash, const char* parent, const char* damage = "") {
    CheckpointEntry e;
    e.state_hash = hash;
    e.parent = parent;
    e.damage = damage;
    return e;
  };
  using Places = std::vector<std::size_t>;
  EXPECT_EQ(lineage({entry("a", ""), entry("b", "a"), entry("c", "b")}, 2), (Places{2, 1, 0}));
  EXPECT_EQ(lineage({entry("a", ""), entry("b", "a"), entry("c", "a")}, 2), (Places{2, 0}));
  EXPECT_EQ(lineage({entry("b", "a"), entry("c", "b")}, 1), (Places{1, 0})) << "a is gone";
  EXPECT_EQ(lineage({entry("a", ""), entry("b", "a", "damaged"), entry("c", "b")}, 2), (Places{2}));
  EXPECT_EQ(lineage({entry("a", "b"), entry("b", "a")}, 1), (Places{1, 0})) << "a circle ends";
  EXPECT_EQ(lineage({entry("a", "a")}, 0), (Places{0}));
}

class Prune : public ::testing::Test {
 protected:
  static CheckpointEntry entry(const char* name, std::int64_t step, double val_loss = std::nan("")) {
    CheckpointEntry e;
    e.name = name;
    e.step = step;
    e.val_loss = val_loss;
    return e;
  }
  static std::vector<std::string> gone(const std::vector<CheckpointEntry>& entries, std::int64_t last,
                                       std::int64_t best) {
    std::vector<std::string> names;
    for (const std::size_t i : prunable(entries, last, best)) names.push_back(entries[i].name);
    return names;
  }
};
using Names = std::vector<std::string>;

// S1-36, S5-42
TEST_F(Prune, KeepsTheNewestAndTheBest) {
  const std::vector<CheckpointEntry> entries = {
      entry("step_00000001.bin", 1, 3.0), entry("step_00000002.bin", 2, 2.0),
      entry("step_00000003.bin", 3, 1.0), entry("step_00000004.bin", 4),
      entry("epoch_000001.bin", 5, 2.5),  entry("step_00000006.bin", 6, 4.0)};
  EXPECT_EQ(gone(entries, 1, 0), (Names{"step_00000001.bin", "step_00000002.bin", "step_00000003.bin",
                                        "step_00000004.bin", "epoch_000001.bin"}));
  EXPECT_EQ(gone(entries, 2, 2), (Names{"step_00000001.bin", "step_00000004.bin"}));
  EXPECT_EQ(gone(entries, 6, 0), Names());
}

// S1-39
TEST_F(Prune, OfEqualLossesTheLaterStays) {
  EXPECT_EQ(gone({entry("step_00000001.bin", 1, 2.0), entry("step_00000002.bin", 2, 2.0),
                  entry("step_00000003.bin", 3, 9.0)},
                 1, 1),
            (Names{"step_00000001.bin"}));
}

// S4-33
TEST_F(Prune, LeavesWhatIsPointedAtAndWhatNoRunNamed) {
  std::vector<CheckpointEntry> entries = {
      entry("epoch_000001.bin", 1),      entry("my_best.bin", 1),  entry("versions/v1.bin", 1),
      entry("deployed/v1.bin", 1),       entry("step_1.bin", 1),   entry("step_00000001.bin", 1),
      entry("sub/step_00000001.bin", 1), entry("mine.bin.old", 1), entry("step_00000009.bin", 9),
      entry("step_00000008.bin.old", 8)};
  entries[0].pointers = {"best"};
  EXPECT_EQ(gone(entries, 1, 0), (Names{"step_00000001.bin", "step_00000008.bin.old"}));
}

TEST_F(Prune, DamagedOnesNeitherCountNorGo) {
  std::vector<CheckpointEntry> entries = {entry("step_00000001.bin", 1), entry("step_00000002.bin", 2),
                                          entry("step_00000003.bin", 3)};
  entries[2].damage = "damaged";
  EXPECT_EQ(gone(entries, 1, 1), (Names{"step_00000001.bin"})) << "the newest whole one is kept";
}

class Versions : public List {};

// S2-22, S2-23, S2-24, S1-33
TEST_F(Versions, ACopyHoldsTheSameAndIsFoundByItsName) {
  save("step_00000002.bin", 2);
  const Checkpoint from = Checkpoint::open(file("step_00000002.bin"));
  const std::string saved = save_version(path(), from, "初版", VersionKind::whole, false);
  EXPECT_EQ(saved, path() + "/versions/初版.bin");
  EXPECT_EQ(test::contents(saved), test::contents(from.path()));
  EXPECT_EQ(version_path(path(), "初版"), saved);
  EXPECT_EQ(version_path(path(), "latest"), saved);
  save_version(path(), from, "v2", VersionKind::whole, false);
  EXPECT_EQ(version_path(path(), "latest"), path() + "/versions/v2.bin");
  try {
    version_path(path(), "v3");
    FAIL() << "there is no v3";
  } catch (const CheckpointError& error) {
    EXPECT_NE(std::string(error.what()).find("v2, 初版"), std::string::npos) << error.what();
  }
}

// S2-26
TEST_F(Versions, NamesThatAreNoneOrTakenAreRefused) {
  save("step_00000001.bin", 1);
  const Checkpoint from = Checkpoint::open(file("step_00000001.bin"));
  for (const char* name : {"", "a/b", "../a", "a\\b", ".a", "-a", "latest", "a\nb", "a\x7f"}) {
    for (const bool force : {false, true}) {
      EXPECT_THROW(save_version(path(), from, name, VersionKind::whole, force), ConfigError) << name;
    }
  }
  EXPECT_THROW(save_version(path(), from, std::string(201, 'a'), VersionKind::whole, false), ConfigError);
  EXPECT_FALSE(fs::exists(file("versions")));

  save_version(path(), from, std::string(200, 'a'), VersionKind::whole, false);
  const std::string saved = save_version(path(), from, "v1", VersionKind::whole, false);
  save("step_00000002.bin", 2);
  const Checkpoint other = Checkpoint::open(file("step_00000002.bin"));
  EXPECT_THROW(save_version(path(), other, "v1", VersionKind::whole, false), ConfigError);
  EXPECT_EQ(Checkpoint::open(saved).step(), 1);
  save_version(path(), other, "v1", VersionKind::whole, true);
  EXPECT_EQ(Checkpoint::open(saved).step(), 2);
}

// S2-19, S2-20, S2-21
TEST_F(Versions, ADeployedOneHasNoMomentsAndCannotBeResumed) {
  save("step_00000002.bin", 2);
  const Checkpoint from = Checkpoint::open(file("step_00000002.bin"));
  const std::string saved = save_version(path(), from, "v1", VersionKind::deployed, false);
  EXPECT_EQ(saved, path() + "/deployed/v1.bin");
  const Checkpoint deployed = Checkpoint::open(saved);
  EXPECT_EQ(deployed.progress().get("inference_only"), "true");
  EXPECT_EQ(deployed.progress().get_quoted("parent"), fingerprint_text(from.state_hash()));
  EXPECT_EQ(deployed.vocab(), from.vocab());
  EXPECT_EQ(deployed.config().to_string(), from.config().to_string());
  for (const TensorInfo& info : deployed.tensors()) EXPECT_EQ(info.kind, SectionKind::parameter);
  EXPECT_LE(static_cast<double>(deployed.file_bytes()), 0.4 * static_cast<double>(from.file_bytes()));
  EXPECT_THROW(TrainerKit(deployed, test::made_up_dataset(400, 100, 24)), CheckpointError);
  EXPECT_FALSE(fs::exists(file("versions")));

  const auto backend = make_backend("cpu", 1);
  Gpt model(*backend, config_of(deployed).model, 1, Gpt::Purpose::inference);
  EXPECT_NO_THROW(load_parameters(model, deployed));
}

TEST_F(Versions, AFileOfVersionsBelongsToTheRunAbove) {
  EXPECT_EQ(run_directory_of("/a/run/step_00000001.bin"), "/a/run");
  EXPECT_EQ(run_directory_of("/a/run/versions/v1.bin"), "/a/run");
  EXPECT_EQ(run_directory_of("/a/run/deployed/v1.bin"), "/a/run");
}

}  // namespace
}  // namespace zhgpt
