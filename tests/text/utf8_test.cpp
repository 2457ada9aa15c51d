// The strict UTF-8 decoder against the whole of Unicode, and against everything that is not UTF-8.
#include "text/utf8.h"

#include <gtest/gtest.h>

namespace zhgpt {
namespace {

TEST(Utf8, EveryScalarValueSurvivesAndNothingElseIsOne) {
  for (char32_t c = 0; c <= kLastCharacter; ++c) {
    std::string bytes;
    append_utf8(bytes, c);
    std::u32string back;
    const DecodeStep step = decode_utf8(bytes, true, back);
    if (is_scalar_value(c)) {
      ASSERT_EQ(back, std::u32string(1, c));
      ASSERT_EQ(step.consumed, bytes.size());
    } else {
      ASSERT_GT(step.invalid, 0u) << "surrogate " << std::hex << static_cast<unsigned>(c);
    }
  }
}

struct Invalid {
  std::string bytes;
  std::size_t consumed, invalid;
};

TEST(Utf8, InvalidSequencesAreMaximalSubparts) {
  const Invalid cases[] = {
      {"\x80", 0, 1},
      {"a\xBF", 1, 1},
      {"\xC0\xAF", 0, 1},
      {"\xC1\xBF", 0, 1},
      {"\xE0\x9F\xBF", 0, 1},
      {"\xED\xA0\x80", 0, 1},
      {"\xF0\x8F\xBF\xBF", 0, 1},
      {"\xF4\x90\x80\x80", 0, 1},
      {"\xF5\x80\x80\x80", 0, 1},
      {"\xFF", 0, 1},
      {"中\xE4\xBD", 3, 2},
      {"\xE4\xBDx", 0, 2},
      {"\xF0\x9F\x98", 0, 3},
      {"\xF0\x9F\x98z", 0, 3},
      {"\xC3", 0, 1},
      {"\xE4\xE4\xB8\xAD", 0, 1},
  };
  for (const Invalid& c : cases) {
    std::u32string out;
    const DecodeStep step = decode_utf8(c.bytes, true, out);
    EXPECT_EQ(step.consumed, c.consumed) << testing::PrintToString(c.bytes);
    EXPECT_EQ(step.invalid, c.invalid) << testing::PrintToString(c.bytes);
  }
}

TEST(Utf8, AnUnfinishedCharacterWaitsUnlessItIsTheLast) {
  std::u32string out;
  EXPECT_EQ(decode_utf8("中\xE4\xBD", false, out).invalid, 0u);
  EXPECT_EQ(out, U"中");
}

}  // namespace
}  // namespace zhgpt
