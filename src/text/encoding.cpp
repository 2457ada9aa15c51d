#include "text/encoding.h"

#include <uchardet/uchardet.h>

#include <array>

namespace zhgpt {
namespace {

struct Mark {
  std::string_view bytes;
  const char* encoding;
};
using namespace std::string_view_literals;
// UTF-32LE before UTF-16LE, whose mark it begins with.
constexpr std::array<Mark, 6> kMarks = {{{"\xEF\xBB\xBF"sv, "UTF-8"},
                                         {"\xFF\xFE\0\0"sv, "UTF-32LE"},
                                         {"\0\0\xFE\xFF"sv, "UTF-32BE"},
                                         {"\xFF\xFE"sv, "UTF-16LE"},
                                         {"\xFE\xFF"sv, "UTF-16BE"},
                                         {"\x84\x31\x95\x33"sv, "GB18030"}}};

bool is_printable_ascii(unsigned c) {
  return (c >= 0x20 && c < 0x7F) || c == '\n' || c == '\r' || c == '\t';
}

bool is_usual_in_chinese(unsigned unit) {
  return is_printable_ascii(unit) || (unit >= 0x4E00 && unit <= 0x9FFF) ||
         (unit >= 0x3000 && unit <= 0x303F) || (unit >= 0xFF00 && unit <= 0xFFEF) ||
         (unit >= 0x2010 && unit <= 0x2026);
}

// The longest front of GB-family or Big5 bytes that ends between two characters.
std::string_view whole_characters(std::string_view bytes) {
  std::size_t end = 0;
  while (end < bytes.size()) {
    const auto lead = static_cast<unsigned char>(bytes[end]);
    std::size_t length = lead < 0x80 ? 1 : 2;
    if (length == 2 && end + 1 < bytes.size() && bytes[end + 1] >= '0' && bytes[end + 1] <= '9') length = 4;
    if (end + length > bytes.size()) break;
    end += length;
  }
  return bytes.substr(0, end);
}

}  // namespace

void EncodingScan::push(std::string_view bytes) {
  if (head_.size() < kSampleBytes) head_ += bytes.substr(0, kSampleBytes - head_.size());
  std::size_t first_high = high_sample_.empty() ? 0 : bytes.size();
  if (high_sample_.empty()) {
    while (first_high < bytes.size() && static_cast<unsigned char>(bytes[first_high]) < 0x80) ++first_high;
    high_sample_ = bytes.substr(first_high, kSampleBytes);
  } else if (high_sample_.size() < kSampleBytes) {
    high_sample_ += bytes.substr(0, kSampleBytes - high_sample_.size());
  }
  for (const char c : bytes) high_bytes_ += static_cast<unsigned char>(c) >= 0x80;

  carry_ += bytes;
  std::string_view rest = carry_;
  std::u32string characters;
  while (true) {
    const DecodeStep step = decode_utf8(rest, false, characters);
    rest.remove_prefix(step.consumed + step.invalid);
    if (step.invalid == 0) break;
    ++invalid_;
  }
  for (const char32_t c : characters) long_sequence_bytes_ += c < 0x800 ? 0 : c < 0x10000 ? 3 : 4;
  carry_.erase(0, carry_.size() - rest.size());
}

std::string EncodingScan::finish() {
  for (const Mark& mark : kMarks) {
    if (head_.starts_with(mark.bytes)) return mark.encoding;
  }
  if (!carry_.empty()) ++invalid_;
  if (const std::string utf16 = utf16_without_mark(); !utf16.empty()) return utf16;
  if (invalid_ == 0 || 2 * long_sequence_bytes_ >= high_bytes_) return "UTF-8";
  return ask_uchardet();
}

std::string EncodingScan::utf16_without_mark() const {
  std::array<std::int64_t, 2> nuls{}, usual{};  // by place in the pair; by byte order, little endian first
  std::int64_t controls = 0, ascii_pairs = 0;
  const auto pairs = static_cast<std::int64_t>(head_.size() / 2);
  for (std::size_t i = 0; i + 1 < head_.size(); i += 2) {
    const unsigned a = static_cast<unsigned char>(head_[i]), b = static_cast<unsigned char>(head_[i + 1]);
    nuls[0] += a == 0;
    nuls[1] += b == 0;
    for (const unsigned c : {a, b}) controls += c < 0x20 && c != 0x1B && (c < '\t' || c > '\r');
    ascii_pairs += is_printable_ascii(a) && is_printable_ascii(b);
    usual[0] += is_usual_in_chinese(b << 8 | a);
    usual[1] += is_usual_in_chinese(a << 8 | b);
  }
  if (pairs == 0) return "";
  if (invalid_ == 0) {
    const std::int64_t all = nuls[0] + nuls[1];
    if (5 * all < 2 * pairs) return "";
    return 10 * nuls[1] >= 9 * all ? "UTF-16LE" : 10 * nuls[0] >= 9 * all ? "UTF-16BE" : "";
  }
  if (controls == 0 || 2 * ascii_pairs >= pairs) return "";
  if (10 * usual[0] >= 9 * pairs && usual[0] > usual[1]) return "UTF-16LE";
  if (10 * usual[1] >= 9 * pairs && usual[1] > usual[0]) return "UTF-16BE";
  return "";
}

std::string EncodingScan::ask_uchardet() {
  const std::string_view sample = whole_characters(high_sample_);
  const std::unique_ptr<uchardet, void (*)(uchardet_t)> detector(uchardet_new(), uchardet_delete);
  uchardet_handle_data(detector.get(), sample.data(), sample.size());
  uchardet_data_end(detector.get());
  guess_ = uchardet_get_charset(detector.get());
  if (guess_.starts_with("GB")) return "GB18030";
  if (guess_.starts_with("BIG5") || guess_.starts_with("Big5")) return "BIG5-HKSCS";
  return "";
}

}  // namespace zhgpt
