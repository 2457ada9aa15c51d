// The vocabulary: order, round trips, its two records, and every way in which a record can be none.
#include "zhgpt/tokenizer.h"

#include <nlohmann/json.hpp>

#include "text_test.h"
#include "zhgpt/atomic_file.h"

namespace zhgpt {
namespace {

using VocabularyTest = TextTest;
using Ids = std::vector<std::int32_t>;

Vocabulary sample() {
  return Vocabulary::build({{U'春', 3}, {U'\n', 5}, {U'眠', 3}, {U'"', 1}, {U'\U00020BB7', 1}, {U'罕', 1}},
                           1);
}

TEST_F(VocabularyTest, FallingFrequencyThenCodePoint) {
  EXPECT_EQ(sample().code_points(), (Ids{-1, -2, U'\n', U'春', U'眠', U'"', U'罕', 0x20BB7}));
  EXPECT_EQ(Vocabulary::build({{U'春', 3}, {U'罕', 1}}, 2).code_points(), (Ids{-1, -2, U'春'}));
}

TEST_F(VocabularyTest, RoundTrip) {
  const Vocabulary vocab = sample();
  const std::string text = "春眠\n𠮷\"罕";
  EXPECT_EQ(vocab.encode(text), (Ids{3, 4, 2, 7, 5, 6}));
  EXPECT_EQ(vocab.decode(vocab.encode(text)), text);
  std::u32string unknown;
  EXPECT_EQ(vocab.encode("春觉晓觉", &unknown), (Ids{3, 0, 0, 0}));
  EXPECT_EQ(unknown, U"觉晓");
  EXPECT_EQ(vocab.decode(Ids{0, 1, 3, -5, 100}), "\uFFFD春\uFFFD\uFFFD");
  EXPECT_THROW(vocab.encode("春\xE4\xB8"), DataError);
}

TEST_F(VocabularyTest, RecordsReadBackEqual) {
  const Vocabulary vocab = sample();
  EXPECT_EQ(Vocabulary::from_code_points(vocab.code_points()).code_points(), vocab.code_points());
  EXPECT_EQ(Vocabulary::load(write("vocab.json", vocab.to_json())).code_points(), vocab.code_points());
  const auto json = nlohmann::json::parse(vocab.to_json());
  EXPECT_EQ(json["tokens"][1], "<|endoftext|>");
  EXPECT_EQ(json["tokens"][3], "春");
}

TEST_F(VocabularyTest, WhatIsNoRecord) {
  for (const Ids& bad : {Ids{}, Ids{-1}, Ids{-2, -1}, Ids{-1, -2, -1}, Ids{-1, -2, 65, 65},
                         Ids{-1, -2, 0xD800}, Ids{-1, -2, 0x110000}, Ids{65, -2}}) {
    EXPECT_THROW(Vocabulary::from_code_points(bad), CheckpointError) << testing::PrintToString(bad);
  }
}

TEST_F(VocabularyTest, WhatIsNoFile) {
  const std::string head = R"({"format": "zhgpt-vocab", "version": 1, "tokens": )";
  for (const std::string& bad :
       {std::string(""), std::string("[]"), std::string("7"), head + "7}", head + "[]}",
        head + R"(["<unk>"]})", head + R"(["<unk>", "<|endoftext|>", "ab"]})",
        head + R"(["<unk>", "<|endoftext|>", ""]})", head + R"(["<unk>", "<|endoftext|>", "a", "a"]})",
        head + R"(["<unk>", "<|endoftext|>", 3]})", head + R"(["a", "<|endoftext|>"]})",
        std::string(R"({"format": "zhgpt-vocab", "version": 2, "tokens": ["<unk>", "<|endoftext|>"]})")}) {
    EXPECT_THROW(Vocabulary::load(write("vocab.json", bad)), DataError) << bad;
  }
  EXPECT_EQ(Vocabulary::load(write("vocab.json", head + R"(["<unk>", "<|endoftext|>", "a"]})")).size(), 3);
}

}  // namespace
}  // namespace zhgpt
