// Normalisation as a stream against normalisation of the whole text at once by utf8proc.
#include "text/normalize.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "text/utf8.h"
#include "zhgpt/error.h"

namespace zhgpt {
namespace {

std::u32string clean(std::u32string_view text, NormalForm form, std::size_t piece) {
  TextCleaner cleaner(form);
  std::u32string out;
  for (; !text.empty(); text.remove_prefix(std::min(piece, text.size())))
    cleaner.push(text.substr(0, piece), out);
  cleaner.finish(out);
  return out;
}

std::u32string normalize_at_once(const std::u32string& text, bool compatibly) {
  std::string utf8;
  for (const char32_t c : text) append_utf8(utf8, c);
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(utf8.c_str());
  const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> done(
      compatibly ? utf8proc_NFKC(bytes) : utf8proc_NFC(bytes), std::free);
  std::u32string out;
  decode_utf8(reinterpret_cast<const char*>(done.get()), true, out);
  return out;
}

// Every character beside characters that compose: if a stream were cut where it must not be, this shows it.
TEST(Normalize, EveryCharacterAmongNeighboursThatCompose) {
  const char32_t before[] = {U'e', U'か', U'カ', 0x1100, 0xAC00, 0x09C7, U'中', 0x0301};
  const char32_t after[] = {0x0301, 0x3099, 0xFF9E, 0x1161, 0x11A8, 0x09BE, 0x0323, U'文'};
  for (const bool compatibly : {false, true}) {
    std::u32string text;
    for (char32_t c = 0xA0; c < 0x30000; ++c) {
      if (!is_scalar_value(c) || (c >= 0xFDD0 && c <= 0xFDEF) || (c & 0xFFFE) == 0xFFFE) continue;
      text += {before[c % 8], c, after[c / 8 % 8]};
    }
    const std::u32string expected = normalize_at_once(text, compatibly);
    const std::u32string got = clean(text, compatibly ? NormalForm::nfkc : NormalForm::nfc, 1000);
    const auto [x, y] = std::mismatch(got.begin(), got.end(), expected.begin(), expected.end());
    ASSERT_TRUE(got == expected) << "from " << x - got.begin() << (compatibly ? " nfkc" : " nfc");
  }
}

TEST(Normalize, WherePiecesAreCutNeverShows) {
  const std::u32string text =
      U"e\u0301か\u3099\u1112\u1161\u11ABa\u0323\u0307\r\n\rｶﾞ①…" + std::u32string(600, U'\u0301') + U"x";
  for (const NormalForm form : {NormalForm::none, NormalForm::nfc, NormalForm::nfkc}) {
    const std::u32string whole = clean(text, form, text.size());
    for (std::size_t piece = 1; piece < 20; ++piece) EXPECT_EQ(clean(text, form, piece), whole) << piece;
  }
}

TEST(Normalize, KnownForms) {
  EXPECT_EQ(clean(U"e\u0301 か\u3099 ，①", NormalForm::nfc, 1), U"é が ，①");
  EXPECT_EQ(clean(U"，①ｶﾞ", NormalForm::nfkc, 1), U",1ガ");
  EXPECT_EQ(clean(U"e\u0301", NormalForm::none, 1), U"e\u0301");
  EXPECT_EQ(clean(U"\uF900", NormalForm::nfc, 1),
            U"\u8C48");  // a compatibility ideograph is canonically another
}

TEST(Normalize, LineEndsAndWhatIsDropped) {
  EXPECT_EQ(clean(U"a\r\nb\rc\n\r\n\r\rd", NormalForm::nfc, 1), U"a\nb\nc\n\n\n\nd");
  TextCleaner cleaner(NormalForm::nfc);
  std::u32string out;
  cleaner.push(std::u32string(U"a\0b\x1B\x7F\u0085\t\n\uFFFE\uFDD0\U0001FFFFc", 12), out);
  cleaner.finish(out);
  EXPECT_EQ(out, U"ab\t\nc");
  EXPECT_EQ(cleaner.dropped(), 7);
}

TEST(Normalize, UnknownFormIsAConfigError) {
  EXPECT_THROW(normal_form("NFD"), ConfigError);
}

}  // namespace
}  // namespace zhgpt
