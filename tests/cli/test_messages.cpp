// The table of messages: complete in both languages, with the same slots in each.
#include <gtest/gtest.h>

#include <cctype>
#include <set>

#include "zhgpt/messages.h"

namespace zhgpt::test {
namespace {

std::set<char> slots(std::string_view text) {
  std::set<char> found;
  for (std::size_t i = 0; i + 2 < text.size(); ++i) {
    if (text[i] == '{' && std::isdigit(static_cast<unsigned char>(text[i + 1])) && text[i + 2] == '}')
      found.insert(text[i + 1]);
  }
  return found;
}

TEST(Messages, EveryOneHasBothTextsWithTheSameSlots) {
  for (int i = 0; i < static_cast<int>(Msg::kCount); ++i) {
    const std::string_view en = message_text(static_cast<Msg>(i), Lang::en),
                           zh = message_text(static_cast<Msg>(i), Lang::zh);
    EXPECT_FALSE(en.empty()) << "message " << i << ": " << zh;
    EXPECT_FALSE(zh.empty()) << "message " << i << ": " << en;
    EXPECT_EQ(slots(en), slots(zh)) << en << "\n" << zh;
    char next = '0';
    for (const char slot : slots(en))
      EXPECT_EQ(slot, next++) << "slots are counted from 0 without gaps: " << en;
  }
}

TEST(Messages, SlotsAreFilledByTheirNumber) {
  EXPECT_EQ(format_message("{1} and {0}, {0}", {"a", "b"}), "b and a, a");
  EXPECT_EQ(format_message("{2} stays, {", {"a"}), "{2} stays, {");
  EXPECT_EQ(format_message("{0}", {"{1}"}), "{1}") << "an argument is no template";
}

}  // namespace
}  // namespace zhgpt::test
