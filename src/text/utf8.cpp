#include "text/utf8.h"

namespace zhgpt {
namespace {

// What a first byte promises: how many bytes in all (0: none begins so) and the range of the second byte,
// which is where overlong forms, surrogates and numbers above U+10FFFF show.
struct Lead {
  int length;
  unsigned char second_low, second_high;
};

Lead lead_of(unsigned char byte) {
  if (byte >= 0xC2 && byte <= 0xDF) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

DecodeStep decode_utf8(std::string_view in, bool last, std::u32string& out) {
  std::size_t i = 0;
  while (i < in.size()) {
    const auto first = static_cast<unsigned char>(in[i]);
    if (first < 0x80) {
      out += first;
      ++i;
      continue;
    }
    const Lead lead = lead_of(first);
    if (lead.length == 0) return {i, 1};
    auto character = static_cast<char32_t>(first & (0x7F >> lead.length));
    std::size_t got = 1;
    for (; got < static_cast<std::size_t>(lead.length) && i + got < in.size(); ++got) {
      const auto byte = static_cast<unsigned char>(in[i + got]);
      const bool fits =
          got == 1 ? byte >= lead.second_low && byte <= lead.second_high : (byte & 0xC0) == 0x80;
      if (!fits) return {i, got};
      character = character << 6 | (byte & 0x3F);
    }
    if (got < static_cast<std::size_t>(lead.length)) return {i, last ? got : 0};
    out += character;
    i += got;
  }
  return {i, 0};
}

void append_utf8(std::string& out, char32_t c) {
  const auto tail = [c](int shift) { return static_cast<char>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += {static_cast<char>(0xC0 | c >> 6), tail(0)};
  } else if (c < 0x10000) {
    out += {static_cast<char>(0xE0 | c >> 12), tail(6), tail(0)};
  } else {
    out += {static_cast<char>(0xF0 | c >> 18), tail(12), tail(6), tail(0)};
  }
}

}  // namespace zhgpt
