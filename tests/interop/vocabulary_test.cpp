// Vocabularies of other programs: which rows are kept, and what can not be read by character.
#include <gtest/gtest.h>

#include "interop/foreign.h"
#include "interop/foreign_vocabulary.h"
#include "interop/tensor_views.h"

namespace zhgpt::test {
namespace {

using interop::kMeanRow;
using Rows = std::vector<std::int64_t>;

interop::VocabularyMapping map(const std::string& text, std::int64_t model_rows,
                               std::optional<std::int64_t> end_id = {}) {
  const TempDirectory temp;
  put_text(temp.file("vocab"), text);
  return interop::map_vocabulary(interop::load_foreign_vocabulary(temp.file("vocab")), model_rows, end_id);
}

std::string refusal(const std::string& text, std::int64_t model_rows = 100) {
  try {
    map(text, model_rows);
    return "";
  } catch (const DataError& error) {
    return error.what();
  }
}

// S5-36
TEST(ForeignVocabulary, OursKeepsItsNumbers) {
  const auto mapping = map(
      R"({"format": "zhgpt-vocab", "version": 1, "tokens": ["<unk>", "<|endoftext|>", "\n", "春", " "]})", 5);
  EXPECT_EQ(*mapping.rows, (Rows{0, 1, 2, 3, 4}));
  EXPECT_EQ(mapping.vocab.code_points(), (std::vector<std::int32_t>{-1, -2, '\n', 0x6625, ' '}));
  EXPECT_EQ(mapping.dropped, 0);
}

TEST(ForeignVocabulary, WordLevelAndBpeWithoutMergesAreReadWithTheirAddedTokens) {
  const std::string file = R"({"added_tokens": [{"id": 4, "content": "<eos>", "special": true}],
      "pre_tokenizer": null, "decoder": {"type": "Fuse"},
      "model": {"type": "TYPE", "vocab": {"甲": 0, "##乙": 1, "乙": 2, "[UNK]": 3}, "unk_token": "[UNK]", "merges": []}})";
  for (const char* type : {"WordLevel", "BPE", "WordPiece"}) {
    std::string text = file;
    text.replace(text.find("TYPE"), 4, type);
    const auto mapping = map(text, 6);
    EXPECT_EQ(*mapping.rows, (Rows{3, 4, 0, 2})) << type;
    EXPECT_EQ(mapping.unknown + " " + mapping.end, "[UNK] <eos>") << type;
    EXPECT_EQ(mapping.dropped, 2) << type;  // ##乙, and the row without a token
  }
}

TEST(ForeignVocabulary, TheModelsOwnEndGoesBeforeNamesAndWhatIsMissingIsTheMean) {
  EXPECT_EQ(*map("[SEP]\n甲\n[UNK]\n[END]\n", 4, 3).rows, (Rows{2, 3, 1}));
  EXPECT_EQ(*map("[SEP]\n甲\n[UNK]\n[END]\n", 4, 50256).rows,
            (Rows{2, 0, 1}));  // GPT-2's default says nothing here
  EXPECT_EQ(*map("甲\n乙\n", 2).rows, (Rows{kMeanRow, kMeanRow, 0, 1}));
  EXPECT_EQ(*map("甲\n乙\n甲\n", 3).rows,
            (Rows{kMeanRow, kMeanRow, 2, 1}));  // the later line is the one BERT uses
}

// A token for unknown text that is written by the mean of all rows can not win: its logit is the mean of all
// logits.
TEST(ForeignVocabulary, RowsFollowTheMapping) {
  const TensorSource table =
      tensor<float>(SectionKind::parameter, "wte.weight", DType::f32, {3, 2}, {1, 2, 3, 4, 8, 12});
  const auto rows = std::make_shared<const Rows>(Rows{2, kMeanRow, 0, 1, interop::kZeroRow});
  const auto picked = interop::with_rows(table, rows);
  const std::vector<float> expected = {8, 12, 4, 6, 1, 2, 3, 4, 0, 0};
  EXPECT_EQ(elements<float>(picked), expected);
  for (std::int64_t first = 0; first < 10; ++first) {  // in any piece
    for (std::int64_t count = 1; first + count <= 10; ++count) {
      std::vector<float> part(static_cast<std::size_t>(count));
      picked.read(4 * first, std::as_writable_bytes(std::span(part)));
      ASSERT_EQ(part, std::vector<float>(expected.begin() + first, expected.begin() + first + count))
          << first << " " << count;
    }
  }
}

TEST(ForeignVocabulary, WhatIsNoListOfCharactersIsRefusedWithTheReason) {
  const std::pair<std::string, const char*> cases[] = {
      {R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}})", "merges"},
      {R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}, "pre_tokenizer": {"type": "ByteLevel"}})",
       "merges"},
      {R"({"model": {"type": "BPE", "vocab": {"a": 0}}, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}]}})",
       "merges"},
      {R"({"model": {"type": "Unigram", "vocab": [["a", 0]]}})", "\"Unigram\""},
      {R"({"model": {"type": "WordLevel"}})", "no map"},
      {R"({"model": {"type": "WordLevel", "vocab": {"a": -1}}})", "id of \"a\" is -1"},
      {R"({"model": {"type": "WordLevel", "vocab": {"a": 1e9}}})", "id of \"a\""},
      {R"({"model": {"type": "WordLevel", "vocab": {"a": 9007199254740992}}})", "id of \"a\""},
      {R"({"model": {"type": "WordLevel", "vocab": {"a": 3, "b": 3}}})", "the same id"},
      {R"({"a": 0, "b": 1})", "no map"},
      {R"({"model": {"type": "WordLevel", "vocab": {"\u001b[2J": -1}}})", "id of \"\\u001b[2J\""},
      {R"({"model": {"type": )" + std::string(2'000'000, '[') + std::string(2'000'000, ']') + "}}",
       "WordLevel"},
      {R"({"model": {"type": "BPE", "vocab": {"a": )" + std::string(2'000'000, '[') +
           std::string(2'000'000, ']') + "}}}",
       "id of"},
      {"the\nof\n", "none of its 2 tokens"},
      {"甲\n乙\xFF\n", "UTF-8"},
      {"", "none of its 0 tokens"}};
  for (const auto& [text, reason] : cases)
    EXPECT_TRUE(contains(refusal(text), reason)) << text << ": " << refusal(text);
  EXPECT_TRUE(contains(refusal("甲\n乙\n丙\n", 2), "3 tokens, the model has 2 rows"));
}

}  // namespace
}  // namespace zhgpt::test
