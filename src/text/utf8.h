// UTF-8, strictly: no overlong forms, no surrogates, nothing above U+10FFFF (Unicode 15, table 3-7).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace zhgpt {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;
inline constexpr char32_t kLastCharacter = 0x10FFFF;

// How far decoding got: in[0, consumed) is done; the next `invalid` bytes, when not 0, stand for no
// character. With invalid == 0 and consumed < size, the rest begins a character whose end has not come yet.
struct DecodeStep {
  std::size_t consumed = 0;
  std::size_t invalid = 0;
};

// Appends characters to `out` until the input ends or is invalid. `last` says that no more bytes will follow,
// so that an unfinished character is invalid. An invalid run is as long as Unicode's "maximal subpart"
// (section 3.9).
DecodeStep decode_utf8(std::string_view in, bool last, std::u32string& out);

void append_utf8(std::string& out, char32_t character);

constexpr bool is_scalar_value(char32_t c) {
  return c <= kLastCharacter && (c < 0xD800 || c > 0xDFFF);
}

}  // namespace zhgpt
