// The measures of quality.h beside scores counted by hand; the counting stands beside each text.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "zhgpt/quality.h"

namespace zhgpt::test {
namespace {

using Ids = std::vector<std::int32_t>;

TokenArray corpus_of(const Ids& ids) {
  return token_array(DType::i32, std::as_bytes(std::span(ids)));
}
// first, first + 1, …
Ids ascending(std::int32_t first, std::int32_t count) {
  Ids ids;
  for (std::int32_t i = 0; i < count; ++i) ids.push_back(first + i);
  return ids;
}
Ids operator+(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(Copying, OfAPieceOfTheCorpusEverything) {
  const Copying c = measure_copying({ascending(110, 40)}, corpus_of(ascending(100, 100)));
  EXPECT_EQ(c.pieces, (std::array<std::int64_t, 3>{33, 25, 9}));  // 40 - n + 1
  EXPECT_EQ(c.copied, c.pieces);
  EXPECT_EQ(c.longest, 40);
  EXPECT_EQ(c.rate(2), 1);
}

// Nine of the corpus, a foreign id, ten of the corpus: of the 13 pieces of 8 those copied are 2 + 3.
TEST(Copying, CountsPiecesByHand) {
  const Copying c = measure_copying({Ids{7, 8}, ascending(100, 9) + Ids{999} + ascending(150, 10)},
                                    corpus_of(ascending(100, 100)));
  EXPECT_EQ(c.pieces, (std::array<std::int64_t, 3>{13, 5, 0}));
  EXPECT_EQ(c.copied, (std::array<std::int64_t, 3>{5, 0, 0}));
  EXPECT_EQ(c.longest, 10);
  EXPECT_EQ(c.longest_text, 1u);
  EXPECT_EQ(c.longest_begin, 10);
  EXPECT_TRUE(std::isnan(c.rate(2)));
}

TEST(Copying, OfIdsInAnotherOrderNothingLong) {
  Ids backwards = ascending(100, 60);
  std::reverse(backwards.begin(), backwards.end());
  const Copying c = measure_copying({backwards}, corpus_of(ascending(100, 100)));
  EXPECT_EQ(c.longest, 1);
  EXPECT_EQ(c.copied, (std::array<std::int64_t, 3>{}));
}

TEST(Copying, APieceIsWithinOneText) {
  const Copying c = measure_copying({ascending(100, 5), ascending(105, 5)}, corpus_of(ascending(100, 100)));
  EXPECT_EQ(c.longest, 5);
  EXPECT_EQ(c.pieces[0], 0);
}

TEST(Copying, TheUnknownIsLikeNothing) {
  const Ids text = ascending(100, 6) + Ids{kUnknownId} + ascending(107, 6);
  const Copying c = measure_copying({text}, corpus_of(text));
  EXPECT_EQ(c.longest, 6);
}

// Every answer beside a plain search: few different ids, so that pieces meet often.
TEST(Copying, BesideAPlainSearch) {
  std::uint32_t state = 1;
  const auto random_ids = [&](std::size_t count) {
    Ids ids;
    for (std::size_t i = 0; i < count; ++i) {
      state = state * 1664525 + 1013904223;
      ids.push_back(static_cast<std::int32_t>(2 + (state >> 24) % 2));
    }
    return ids;
  };
  const Ids corpus = random_ids(300);
  const std::vector<Ids> texts{random_ids(60), random_ids(40), random_ids(3)};
  Copying expected;
  for (std::size_t t = 0; t < texts.size(); ++t) {
    for (std::size_t end = 1; end <= texts[t].size(); ++end) {
      for (std::size_t begin = 0; begin < end; ++begin) {
        const auto from = texts[t].begin() + static_cast<std::ptrdiff_t>(begin),
                   to = texts[t].begin() + static_cast<std::ptrdiff_t>(end);
        const bool is_copied = std::search(corpus.begin(), corpus.end(), from, to) != corpus.end();
        const std::int64_t length = to - from;
        for (std::size_t i = 0; i < 3; ++i) {
          expected.pieces[i] += length == Copying::kLengths[i];
          expected.copied[i] += length == Copying::kLengths[i] && is_copied;
        }
        if (is_copied && length > expected.longest) {
          expected.longest = length;
          expected.longest_text = t;
          expected.longest_begin = static_cast<std::int64_t>(begin);
        }
      }
    }
  }
  ASSERT_GT(expected.copied[0], 0);
  ASSERT_LT(expected.copied[0], expected.pieces[0]);
  const Copying c = measure_copying(texts, corpus_of(corpus));
  EXPECT_EQ(c.pieces, expected.pieces);
  EXPECT_EQ(c.copied, expected.copied);
  EXPECT_EQ(c.longest, expected.longest);
  EXPECT_EQ(c.longest_text, expected.longest_text);
  EXPECT_EQ(c.longest_begin, expected.longest_begin);
}

TEST(Distinct, CountedByHand) {
  // 春 花 秋 月 春 花: 4 different of 6; 春花 花秋 秋月 月春 春花: 4 of 5; 春花秋 花秋月 秋月春 月春花: 4
  // of 4.
  const std::vector<std::u32string> text{U"春花秋月春花"};
  EXPECT_DOUBLE_EQ(distinct_share(text, 1), 4.0 / 6);
  EXPECT_DOUBLE_EQ(distinct_share(text, 2), 4.0 / 5);
  EXPECT_DOUBLE_EQ(distinct_share(text, 3), 1);
  // Over texts, but not across them: 花秋 is in neither.
  EXPECT_DOUBLE_EQ(distinct_share({U"春花", U"秋月", U"春花"}, 2), 2.0 / 3);
  EXPECT_TRUE(std::isnan(distinct_share({U"春"}, 2)));
}

std::vector<std::array<std::size_t, 3>> loops(std::u32string_view text) {
  std::vector<std::array<std::size_t, 3>> all;
  for (const Loop& l : find_loops(text)) all.push_back({l.begin, l.period, l.length});
  return all;
}
using Loops = std::vector<std::array<std::size_t, 3>>;

TEST(Loops, FoundWhereAPieceGoesOnAndOn) {
  EXPECT_EQ(loops(U"我爱你我爱你我爱你我爱你"), (Loops{{0, 3, 12}}));
  EXPECT_EQ(loops(U"他说：好好好好好好好好好。"), (Loops{{3, 1, 9}}));
  EXPECT_EQ(loops(U"不知何处去，不知何处去，不知何处去，不"), (Loops{{0, 6, 19}}));
  EXPECT_EQ(loops(U"天地天地天地天地天地玄黄黄黄黄黄黄黄黄黄"), (Loops{{0, 2, 10}, {11, 1, 9}}));
}

TEST(Loops, AreNoEmphasisNoRefrainAndNoTwoLinesAlike) {
  EXPECT_EQ(loops(U"哈哈哈哈哈哈哈哈，"), Loops{});        // eight: one short of nine
  EXPECT_EQ(loops(U"我爱你我爱你我爱你我"), Loops{});      // 10 characters: 7 are repeated
  EXPECT_EQ(loops(U"床前明月光，床前明月光，"), Loops{});  // twice only
  EXPECT_EQ(loops(U"春眠不觉晓，处处闻啼鸟。春眠不觉晓，处处闻啼鸟。"),
            Loops{});  // a long piece, but twice only
  EXPECT_EQ(loops(U""), Loops{});
}

TEST(Loops, TheShareLeavesOutTheFirstRound) {
  // 9 characters without a loop, and 12 of which the last 9 are repeated.
  EXPECT_DOUBLE_EQ(looped_share({U"春眠不觉晓处处闻啼", U"我爱你我爱你我爱你我爱你"}), 9.0 / 21);
}

TEST(Marks, CountedByHand) {
  const auto count = [](std::u32string_view text, bool is_cut) {
    const PairedMarks m = count_paired_marks(text, is_cut);
    return std::pair(m.marks, m.unpaired);
  };
  using Pair = std::pair<std::int64_t, std::int64_t>;
  EXPECT_EQ(count(U"《静夜思》李白「床前」“明月”", false), Pair(6, 0));
  EXPECT_EQ(count(U"《静夜思", false), Pair(1, 1));
  EXPECT_EQ(count(U"《静夜思", true), Pair(1, 0));  // who knows what would have come
  EXPECT_EQ(count(U"静夜思》", true), Pair(1, 1));
  EXPECT_EQ(count(U"“他说「好”", true), Pair(3, 1));       // 「 can no longer be closed
  EXPECT_EQ(count(U"《静「夜》思」", false), Pair(4, 2));  // crossed: 》 closes 《, both of 「」 are alone
  EXPECT_EQ(count(U"“甲“乙”", false), Pair(3, 1));
}

// As any dictionary has them: 麻1 波2 皆3 开4 微5 豪6 尤7 寒8 文9 唐10 庚11 齐12 支13 姑14.
TEST(Rhyme, OfCharactersThatEveryoneKnows) {
  const std::pair<std::u32string_view, int> known[] = {
      {U"家花瓜", 1},      {U"波我国", 2},    {U"别雪夜", 3},    {U"来外台", 4},    {U"杯水梅", 5},
      {U"晓鸟高", 6},      {U"楼流头", 7},    {U"山烟年泉", 8},  {U"人云春门", 9},  {U"光霜乡鄉", 10},
      {U"生东情风兄", 11}, {U"衣雨儿去", 12}, {U"诗时日子", 13}, {U"无湖图书", 14}, {U"a，《", 0}};
  for (const auto& [characters, rhyme] : known) {
    for (const char32_t c : characters) EXPECT_EQ(rhyme_of(c), rhyme) << static_cast<std::uint32_t>(c);
  }
}

// 静夜思: lines of 3 and 4 times 5; the ends are 霜 and 乡, one pair, which rhymes.
TEST(Verse, CountedByHand) {
  const Verse v = measure_verse({U"《静夜思》\n床前明月光，疑是地上霜。\n举头望明月，低头思故乡。"});
  EXPECT_EQ(v.lines, (std::map<std::int64_t, std::int64_t>{{3, 1}, {5, 4}}));
  EXPECT_EQ(v.line_count(), 5);
  EXPECT_DOUBLE_EQ(v.line_share(5), 0.8);
  EXPECT_EQ(v.line_share(7), 0);
  EXPECT_EQ(v.pairs, 1);
  EXPECT_EQ(v.rhymed, 1);
  EXPECT_EQ(v.rhymed_share(), 1);
  EXPECT_EQ(v.chance(), 1);
}

// Ends 流 楼 | 晓 山 家: pairs 流楼 (rhymes); 晓山, 山家 (do not). Of the 20 ordered pairs of ends 流楼 and
// 楼流 rhyme.
TEST(Verse, PairsStayWithinATextAndChanceIsThatOfTheEnds) {
  const Verse v = measure_verse({U"黄河入海流。更上一层楼！", U"春眠不觉晓？“远看山。”不见家。"});
  EXPECT_EQ(v.pairs, 3);
  EXPECT_EQ(v.rhymed, 1);
  EXPECT_DOUBLE_EQ(v.chance(), 0.1);
}

TEST(Verse, WhatHasNoKnownRhymeMakesNoPair) {
  EXPECT_EQ(measure_verse({U"流。㐀。楼。「楼」。"}).pairs, 1);  // 楼楼; U+3400 is beyond the table
  EXPECT_EQ(measure_verse({U"流。OK。楼。"}).pairs, 1);          // no Han character, no sentence
  EXPECT_EQ(measure_verse({U""}).pairs, 0);
  EXPECT_TRUE(std::isnan(measure_verse({U""}).rhymed_share()));
}

}  // namespace
}  // namespace zhgpt::test
