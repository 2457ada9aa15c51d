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

// Decodes from in[i] on as long as all is ASCII or whole and in three bytes, which is what Chinese text is
// made of; `to` has room for as many characters as there are bytes.
void decode_common(std::string_view in, std::size_t& i, char32_t*& to) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(in.data());
  while (i < in.size() && bytes[i] < 0x80) *to++ = bytes[i++];
  for (; i + 3 <= in.size(); i += 3) {
    const unsigned char first = bytes[i], second = bytes[i + 1], third = bytes[i + 2];
    const bool is_common =
        first > 0xE0 && first < 0xF0 && first != 0xED && (second & 0xC0) == 0x80 && (third & 0xC0) == 0x80;
    if (!is_common) break;
    *to++ = static_cast<char32_t>((first & 0x0F) << 12 | (second & 0x3F) << 6 | (third & 0x3F));
  }
}

// `to` moves behind what was decoded.
DecodeStep decode_to(std::string_view in, bool last, char32_t*& to) {
  std::size_t i = 0;
  while (true) {
    decode_common(in, i, to);
    if (i == in.size()) return {i, 0};
    const auto first = static_cast<unsigned char>(in[i]);
    if (first < 0x80) continue;
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
    *to++ = character;
    i += got;
  }
}

}  // namespace

DecodeStep decode_utf8(std::string_view in, bool last, std::u32string& out) {
  const std::size_t before = out.size();
  out.resize(before + in.size());
  char32_t* to = out.data() + before;
  const DecodeStep step = decode_to(in, last, to);
  out.resize(static_cast<std::size_t>(to - out.data()));
  return step;
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
