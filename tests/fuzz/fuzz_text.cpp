// Target: any bytes in any encoding decode to scalar values only, go on behind every invalid byte, and give
// the same characters whether they come whole or in pieces; what was decoded is the same when it is written
// as UTF-8 and read again. The first byte chooses the encoding.
#include <fstream>

#include "fuzz/fuzz.h"
#include "text/encoding.h"

namespace zhgpt::fuzz {

constexpr const char* kEncodings[] = {"UTF-8", "GB18030", "BIG5-HKSCS", "UTF-16LE", "UTF-16BE", "UTF-32LE"};

void write_seeds(const std::string& directory) {
  const auto seed = [&](const char* name, char encoding, const std::string& bytes) {
    std::ofstream(directory + "/" + name, std::ios::binary) << encoding << bytes;
  };
  seed("utf8", 0, "天地玄黄 \xF0\xA0\x80\x80\n");
  seed("utf8-invalid", 0, "a\xC0\x80\xED\xA0\x80\xF4\x90\x80\x80\xE5\xA4");
  seed("gb18030", 1, "\xCC\xEC\xB5\xD8\x81\x30\x89\x38\xFF\x81");
  seed("big5", 2, "\xA4\xD1\xA6\x61\x88\x62\x88\xA3\xA4");
  seed("utf16le", 3, std::string("\x29\x59\x30\x57\x40\xD8\x00\xDC\x00\xDC", 10));
  seed("utf16be", 4, std::string("\x59\x29\xD8\x40\xDC\x00\xD8", 7));
  seed("utf32", 5, std::string("\x29\x59\x00\x00\xFF\xFF\xFF\x7F\x01", 9));
}

// The characters of `bytes`, of which at most `piece` more are shown to the decoder at a time; each invalid
// run as U+FFFD.
std::u32string decode(const char* encoding, std::string_view bytes, std::size_t piece) {
  const auto decoder = make_decoder(encoding);
  std::u32string characters;
  std::size_t begin = 0, end = 0;
  while (end < bytes.size() || begin < end) {
    if (end < bytes.size()) end = std::min(bytes.size(), end + piece);
    const bool last = end == bytes.size();
    while (begin < end) {
      const DecodeStep step = decoder->decode(bytes.substr(begin, end - begin), last, characters);
      ZHGPT_REQUIRE(step.consumed + step.invalid <= end - begin);
      begin += step.consumed + step.invalid;
      if (step.invalid > 0) characters += kReplacementCharacter;
      if (step.consumed + step.invalid == 0) break;  // more is wanted
    }
    ZHGPT_REQUIRE(!last || begin == end);
  }
  return characters;
}

}  // namespace zhgpt::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zhgpt;
  if (size == 0) return 0;
  const char* encoding = fuzz::kEncodings[data[0] % std::size(fuzz::kEncodings)];
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::u32string characters = fuzz::decode(encoding, bytes, size);
  std::string utf8;
  for (const char32_t character : characters) {
    ZHGPT_REQUIRE(is_scalar_value(character));
    append_utf8(utf8, character);
  }
  ZHGPT_REQUIRE(fuzz::decode("UTF-8", utf8, utf8.size() + 1) == characters);
  ZHGPT_REQUIRE(fuzz::decode(encoding, bytes, 1) == characters);
  ZHGPT_REQUIRE(fuzz::decode(encoding, bytes, 7) == characters);

  EncodingScan scan;
  scan.push(bytes.substr(0, bytes.size() / 2));
  scan.push(bytes.substr(bytes.size() / 2));
  if (const std::string found = scan.finish(); !found.empty()) make_decoder(found);
  return 0;
}
