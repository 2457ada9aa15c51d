// Cutting a model and putting it together again.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "parts/parts_test.h"
#include "parts/places.h"

namespace zhgpt::test {
namespace {

namespace fs = std::filesystem;

std::set<std::string> names_of(const Checkpoint& checkpoint, SectionKind kind) {
  std::set<std::string> names;
  for (const TensorInfo& info : checkpoint.tensors()) {
    if (info.kind == kind) names.insert(info.name);
  }
  return names;
}

std::vector<std::byte> bytes_of(const Checkpoint& checkpoint, SectionKind kind, const std::string& name) {
  for (const TensorInfo& info : checkpoint.tensors()) {
    if (info.kind != kind || info.name != name) continue;
    std::vector<std::byte> bytes(static_cast<std::size_t>(info.bytes()));
    checkpoint.read(kind, name, bytes);
    return bytes;
  }
  ADD_FAILURE() << checkpoint.path() << " has no " << name;
  return {};
}

// S4-10
TEST_F(SplitModelTest, MergingRestoresTheFileByteForByte) {
  const std::string original = contents(whole_.path());
  for (std::int64_t s1 = 1; s1 < kLayers; ++s1) {
    for (std::int64_t s2 = s1 + 1; s2 < kLayers; ++s2) {
      const std::string base = std::to_string(s1) + "-" + std::to_string(s2);
      const SplitParts parts = open_parts(split({s1, s2}, base));
      const std::string back = directory_.file(base + ".bin");
      save_checkpoint(back, merged(parts));
      EXPECT_TRUE(contents(back) == original) << base;
    }
  }
}

// S4-10
TEST_F(SplitModelTest, MergingRestoresAnyFormatAndTheParentOfTheParent) {
  Snapshot snapshot = snapshot_of(whole_);
  snapshot.progress.set_quoted("parent", "00112233445566ff");
  snapshot.progress.set_quoted("command", "zhgpt train 诗.txt --name \"春\\晓\"");
  std::swap(snapshot.tensors[0], snapshot.tensors[7]);  // an order that is not the table's
  const std::string from = directory_.file("other.json"), back = directory_.file("back.json");
  save_checkpoint(from, snapshot);
  const Checkpoint whole = Checkpoint::open(from);
  std::array<std::string, 3> paths;
  for (Part part : kParts) {
    const std::string to = paths[static_cast<std::size_t>(part)] = path(part);
    save_part(to, whole, part, {1, 3});
  }
  save_checkpoint(back, merged(open_parts(paths)));
  EXPECT_TRUE(contents(back) == contents(from));
}

// S4-1, S4-2, S4-9
TEST_F(SplitModelTest, PartsHaveTheirLayersCountedFromZeroAndTheSameBytes) {
  const SplitParts parts = open_parts(split({1, 3}));
  const std::int64_t begin[] = {0, 1, 3}, end[] = {1, 3, 5};
  const std::set<std::string> ends[] = {
      {"wte.weight", "wpe.weight"}, {}, {"wte.weight", "ln_f.weight", "ln_f.bias"}};
  for (std::size_t i = 0; i < 3; ++i) {
    const PartInfo info = part_of(parts[i]).value();
    EXPECT_EQ(info.layers.begin, begin[i]);
    EXPECT_EQ(info.layers.end, end[i]);
    EXPECT_EQ(info.n_layer, kLayers);
    for (const SectionKind kind : {SectionKind::parameter, SectionKind::adam_m, SectionKind::adam_v}) {
      std::set<std::string> expected = ends[i];
      for (const std::string& name : names_of(whole_, kind)) {
        for (std::int64_t l = begin[i]; l < end[i]; ++l) {
          const std::string prefix = "h." + std::to_string(l) + ".";
          if (!name.starts_with(prefix)) continue;
          const std::string in_part = "h." + std::to_string(l - begin[i]) + "." + name.substr(prefix.size());
          expected.insert(in_part);
          EXPECT_EQ(bytes_of(parts[i], kind, in_part), bytes_of(whole_, kind, name)) << name;
        }
      }
      EXPECT_EQ(names_of(parts[i], kind), expected);
    }
  }
}

// S4-3, S4-4
TEST(SplitPoints, AreExactlyTwoAndInsideTheModel) {
  EXPECT_EQ(SplitPoints::parse("2,10"), (SplitPoints{2, 10}));
  for (const char* text :
       {"", "2", "2,", ",2", "2,4,6", "2 4", "2,4 ", "a,b", "2;4", "99999999999999999999,1"}) {
    EXPECT_TRUE(holds(refusal<ConfigError>([&] { SplitPoints::parse(text); }), "--at 2,10")) << text;
  }
  (SplitPoints{2, 10}).validate(12);
  (SplitPoints{1, 2}).validate(3);
  for (const SplitPoints at : {SplitPoints{0, 3}, {3, 3}, {4, 3}, {3, 12}, {3, 13}, {-1, 3}}) {
    const std::string text = refusal<ConfigError>([&] { at.validate(12); });
    EXPECT_TRUE(holds(text, std::to_string(at.first)) && holds(text, std::to_string(at.second)) &&
                holds(text, "12"))
        << text;
  }
}

// S4-5, S4-13
TEST(SplitPaths, AreMadeOfModelPointsAndPart) {
  EXPECT_EQ(split_model_path("models", "gpt2", Part::trunk, {2, 10}), "models/trunk/gpt2_2-10_trunk.bin");
  EXPECT_EQ(split_metadata_path("models/trunk/gpt2_2-10_trunk.bin"),
            "models/trunk/gpt2_2-10_trunk_metadata.json");
  for (Part part : kParts) EXPECT_EQ(parse_part(part_name(part)), part);
  EXPECT_TRUE(holds(refusal<ConfigError>([] { parse_part("middle"); }), "bottom, trunk or top"));

  const TempDirectory directory;
  const std::string base = directory.file("a/models");
  create_split_directories(base);
  create_split_directories(base);  // idempotent
  for (const char* part : {"bottom", "trunk", "top"}) EXPECT_TRUE(fs::is_directory(base + "/" + part));
}

// S4-15, S4-16
TEST_F(SplitModelTest, NothingIsWrittenUnlessAsked) {
  for (Part part : kParts) EXPECT_FALSE(part_of_model(whole_, part, {1, 3}).tensors.empty());
  EXPECT_FALSE(fs::exists(directory_.file("models")));
  save_part(path(Part::top), whole_, Part::top, {1, 3}, false);
  EXPECT_TRUE(fs::exists(path(Part::top)));
  EXPECT_FALSE(fs::exists(split_metadata_path(path(Part::top))));
  EXPECT_THROW(save_part(path(Part::top), whole_, Part::top, {1, 3}), IoError) << "never over another file";
  save_part(path(Part::top), whole_, Part::top, {1, 3}, true, true);
  EXPECT_TRUE(fs::exists(split_metadata_path(path(Part::top))));
}

// S4-22
TEST_F(SplitModelTest, APartIsNotSplitAgain) {
  const Checkpoint part = Checkpoint::open(split()[1]);
  const std::string text = refusal<CheckpointError>([&] { part_of_model(part, Part::bottom, {1, 2}); });
  EXPECT_TRUE(holds(text, "full model") && holds(text, "poem.bin") && holds(text, "zhgpt merge")) << text;
}

TEST_F(SplitModelTest, ATensorThatNoPartTakesIsRefused) {
  for (const char* name :
       {"lm_head.weight", "h.5.ln_1.weight", "h.01.ln_1.weight", "h.-1.ln_1.weight", "h.1"}) {
    Snapshot snapshot = snapshot_of(whole_);
    snapshot.tensors.back().info.name = name;
    const std::string odd = directory_.file("odd.bin");
    save_checkpoint(odd, snapshot, true);
    const Checkpoint checkpoint = Checkpoint::open(odd);
    EXPECT_TRUE(holds(refusal<CheckpointError>([&] {
                        part_of_model(checkpoint, Part::trunk, {1, 3});
                      }),
                      name))
        << name;
  }
}

// S4-19
TEST_F(SplitModelTest, PartsOfAnotherModelOrSplitAreRefused) {
  const std::array<std::string, 3> paths = split({1, 3});
  const Checkpoint other = Checkpoint::open(train_model(directory_.file("other.bin"), 7));
  const std::string stranger = directory_.file("stranger.bin"), elsewhere = directory_.file("elsewhere.bin");
  save_part(stranger, other, Part::trunk, {1, 3});
  save_part(elsewhere, whole_, Part::trunk, {1, 2});
  const auto open = [&](const std::string& trunk) {
    return refusal<CheckpointError>([&] { open_parts({paths[0], trunk, paths[2]}); });
  };
  EXPECT_TRUE(holds(open(stranger), "their model")) << open(stranger);
  EXPECT_TRUE(holds(open(elsewhere), "split points (1,3, 1,2)")) << open(elsewhere);
  EXPECT_TRUE(holds(open(paths[0]), "trunk is missing")) << open(paths[0]);
  EXPECT_TRUE(holds(open(whole_.path()), "is a whole model")) << open(whole_.path());
  EXPECT_EQ(open(paths[1]), "");
  open_parts({paths[2], paths[0], paths[1]});  // each says itself which it is
}

// S4-10, S4-19
TEST_F(SplitModelTest, PartsThatWereChangedAreNotMerged) {
  const std::array<std::string, 3> paths = split();
  const auto change = [&](std::size_t part, const std::string& name, std::int64_t byte) {
    Snapshot snapshot = snapshot_of(Checkpoint::open(paths[part]));
    for (TensorSource& tensor : snapshot.tensors) {
      if (tensor.info.kind != SectionKind::parameter || tensor.info.name != name) continue;
      tensor.read = [byte, read = tensor.read](std::int64_t offset, std::span<std::byte> to) {
        read(offset, to);
        if (byte >= offset && byte < offset + static_cast<std::int64_t>(to.size()))
          to[static_cast<std::size_t>(byte - offset)] ^= std::byte{1};
      };
    }
    const std::string changed = directory_.file("changed.bin");
    save_checkpoint(changed, snapshot, true);
    std::array<std::string, 3> with = paths;
    with[part] = changed;
    return refusal<CheckpointError>([&] { merged(open_parts(with)); });
  };
  const std::string copies = change(2, "wte.weight", 4 * 17);
  EXPECT_TRUE(holds(copies, "copies of wte.weight, from element 17 on")) << copies;
  const std::string hash = change(1, "h.0.mlp.c_fc.bias", 0);
  EXPECT_TRUE(holds(hash, "state hash")) << hash;
}

// S4-10
TEST_F(SplitModelTest, RecordsThatMakeNoSenseAreRefused) {
  const std::array<std::string, 3> paths = split();
  const auto with = [&](const char* key, const std::string& value) {
    Snapshot snapshot = snapshot_of(Checkpoint::open(paths[0]));
    snapshot.progress.set(key, value);
    const std::string changed = directory_.file("changed.bin");
    save_checkpoint(changed, snapshot, true);
    return refusal<CheckpointError>([&] { merged(open_parts({changed, paths[1], paths[2]})); });
  };
  EXPECT_EQ(with("epoch", "0"), "") << "the whole's own progress is kept apart";
  for (const char* value : {"\"\"", "\"0-9223372036854775807\"", "\"5,4\"", "\"0-0,x\"", "7", "\"-1-3\""}) {
    EXPECT_NE(with("whole_places", value), "") << value;
  }
  for (const char* value : {"0", "-1", "1", "9223372036854775807", "\"x\""})
    EXPECT_NE(with("whole_tensors", value), "");
  EXPECT_NE(with("part", "\"middle\""), "");
  EXPECT_NE(with("part_split", "\"3,1\""), "");
  EXPECT_NE(with("parent", "\"0123\""), "");
  EXPECT_NE(with("whole_progress", "\"no record\""), "");
}

TEST(Places, ComeBackFromTheirText) {
  using Places = std::vector<std::int64_t>;
  for (const Places& places : {Places{}, Places{0}, Places{3, 4, 5}, Places{0, 2, 3, 9}, Places{7, 9, 11}}) {
    EXPECT_EQ(parse_places(places_text(places), places.size(), 12), places);
  }
  EXPECT_EQ(places_text({0, 1, 4, 5, 6, 9}), "0-1,4-6,9");
  EXPECT_THROW(parse_places("0-3", 3, 12), ConfigError);
  EXPECT_THROW(parse_places("0-3", 4, 3), ConfigError);
  EXPECT_THROW(parse_places("1,1", 2, 3), ConfigError);
}

}  // namespace
}  // namespace zhgpt::test
