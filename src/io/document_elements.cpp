// Elements of tensors as decimals: the shortest that name the same bits.
#include <charconv>
#include <cmath>
#include <cstring>

#include "io/document.h"
#include "zhgpt/bfloat16.h"
#include "zhgpt/float16.h"

namespace zhgpt {
namespace {

template <class Number>
bool parse_whole(std::string_view text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

template <class Number, class Bits = Number, class Convert>
bool parse_as(std::string_view text, std::byte* to, Convert convert) {
  Number value{};
  if (!parse_whole(text, value)) return false;
  const Bits bits = convert(value);
  std::memcpy(to, &bits, sizeof bits);
  return true;
}

template <class Stored, class Convert>
std::string_view text_of(const std::byte* from, std::span<char> buffer, Convert convert) {
  Stored stored;
  std::memcpy(&stored, from, sizeof stored);
  const auto value = convert(stored);
  if constexpr (std::is_floating_point_v<decltype(value)>) {
    if (value == 0 && std::signbit(value)) return "-0.0";  // "-0" would be the integer
  }
  char* end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  return {buffer.data(), static_cast<std::size_t>(end - buffer.data())};
}

constexpr auto same = [](auto value) { return value; };

}  // namespace

bool parse_element(DType dtype, std::string_view text, std::byte* to) {
  switch (dtype) {
    case DType::f32:
      return parse_as<float>(text, to, same);
    case DType::f64:
      return parse_as<double>(text, to, same);
    case DType::bf16:
      return parse_as<float, std::uint16_t>(text, to, bfloat16_bits);
    case DType::f16:
      return parse_as<float, std::uint16_t>(text, to, float16_bits);
    case DType::i32:
      return parse_as<std::int32_t>(text, to, same);
    case DType::i64:
      return parse_as<std::int64_t>(text, to, same);
    case DType::u16:
      return parse_as<std::uint16_t>(text, to, same);
    case DType::u8:
      return parse_as<std::uint8_t>(text, to, same);
  }
  return false;
}

std::string_view element_text(DType dtype, const std::byte* from, std::span<char> buffer) {
  switch (dtype) {
    case DType::f32:
      return text_of<float>(from, buffer, same);
    case DType::f64:
      return text_of<double>(from, buffer, same);
    case DType::bf16:
      return text_of<std::uint16_t>(from, buffer, bfloat16_value);
    case DType::f16:
      return text_of<std::uint16_t>(from, buffer, float16_value);
    case DType::i32:
      return text_of<std::int32_t>(from, buffer, same);
    case DType::i64:
      return text_of<std::int64_t>(from, buffer, same);
    case DType::u16:
      return text_of<std::uint16_t>(from, buffer, same);
    case DType::u8:
      return text_of<std::uint8_t>(from, buffer, same);
  }
  return {};
}

}  // namespace zhgpt
