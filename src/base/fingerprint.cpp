#include "base/fingerprint.h"

#include <charconv>

#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {

std::string fingerprint_text(std::uint64_t fingerprint) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string text(16, '0');
  for (std::size_t i = 0; i < 16; ++i) text[15 - i] = kHex[(fingerprint >> (4 * i)) & 15];
  return text;
}

std::uint64_t parse_fingerprint(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc{} || end != text.data() + text.size() || text.size() != 16) {
    throw CheckpointError(tr(Msg::bad_fingerprint, text));
  }
  return value;
}

}  // namespace zhgpt
