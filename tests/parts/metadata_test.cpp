// The JSON file beside a part.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "parts/parts_test.h"

namespace zhgpt::test {
namespace {

using Json = nlohmann::ordered_json;

void put(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

// S4-12, S4-14
TEST_F(SplitModelTest, MetadataHasEveryField) {
  split({1, 3});
  const std::string beside = split_metadata_path(path(Part::trunk));
  EXPECT_TRUE(beside.ends_with("/models/trunk/poem_1-3_trunk_metadata.json")) << beside;
  const Json json = Json::parse(contents(beside));
  // Of each block, with C = 16: two layernorms, four matrices and their biases.
  const std::int64_t C = 16, block = 4 * C + (3 * C * C + 3 * C) + (C * C + C) + (4 * C * C + 4 * C) +
                                     (4 * C * C + C);
  EXPECT_EQ(json["model_class"], "zhgpt::Gpt");
  EXPECT_EQ(json["component"], "trunk");
  EXPECT_EQ(json["start_layer"], 1);
  EXPECT_EQ(json["end_layer"], 3);
  EXPECT_EQ(json["num_layers"], 2);
  EXPECT_EQ(json["num_parameters"], 2 * block);
  EXPECT_EQ(json["memory_mb"], static_cast<double>(2 * block * 4) / 1048576);
  EXPECT_EQ(json["split_points"], Json({1, 3}));
  EXPECT_EQ(json["parent_file"], "poem.bin");
  EXPECT_EQ(json["parent_state_hash"].get<std::string>().size(), 16u);
  EXPECT_EQ(json["config"]["n_layer"], kLayers);
  EXPECT_EQ(json["config"]["lr_schedule"], "cosine");
  EXPECT_TRUE(std::regex_match(json["saved_at"].get<std::string>(),
                               std::regex("20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")));
}

// S4-19
TEST_F(SplitModelTest, MetadataThatContradictTheFileAreRefused) {
  split({1, 3});
  const std::string beside = split_metadata_path(path(Part::bottom));
  const Json right = Json::parse(contents(beside));
  const auto refused = [&](const std::string& text) {
    put(beside, text);
    return refusal<CheckpointError>([&] { open_part(path(Part::bottom)); });
  };
  for (const auto& [key, value] : right.items()) {
    if (key == "saved_at") continue;
    Json wrong = right;
    wrong[key] = "else";
    EXPECT_TRUE(holds(refused(wrong.dump()), "\"" + key + "\" is \"else\"")) << key;
    wrong.erase(key);
    EXPECT_EQ(refused(wrong.dump()), "") << "what is not said is no contradiction: " << key;
  }
  Json wrong = right;
  wrong["config"]["n_embd"] = 32;
  EXPECT_TRUE(holds(refused(wrong.dump()), "\"config\""));
  for (const char* text : {"", "{", "[]", "3", "{\"component\": \"bot", "\xff"}) {
    EXPECT_TRUE(holds(refused(text), "not valid metadata")) << text;
  }
  std::filesystem::remove(beside);
  EXPECT_EQ(refusal<CheckpointError>([&] { open_part(path(Part::bottom)); }), "")
      << "metadata may be left out";
}

}  // namespace
}  // namespace zhgpt::test
