#include "io/section.h"

#include <bit>
#include <cstring>

#include "io/format.h"
#include "zhgpt/error.h"

namespace zhgpt {
namespace {

static_assert(std::endian::native == std::endian::little, "tensor bytes are copied to and from the file as they are");

bool is_allowed_name(std::string_view name) {
  if (name.empty() || name.size() > static_cast<std::size_t>(format::kMaxNameBytes)) return false;
  for (const char c : name) {
    const bool is_allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                            c == '_' || c == '-';
    if (!is_allowed) return false;
  }
  return true;
}

// A name that broke the rules, made harmless for a terminal.
std::string shown_name(std::string_view name) {
  std::string text;
  for (const char c : name.substr(0, 40)) text += c > ' ' && c <= '~' ? c : '?';
  return "\"" + text + "\"";
}

// An element is not finite when its exponent bits, `mask`, are all ones. No early exit inside a block, so that the
// compiler can test many at once.
template <class Bits>
std::optional<std::int64_t> first_with_all(std::span<const std::byte> bytes, Bits mask) {
  constexpr std::size_t kBlock = 4096 / sizeof(Bits);
  const std::size_t count = bytes.size() / sizeof(Bits);
  Bits block[kBlock];
  for (std::size_t begin = 0; begin < count; begin += kBlock) {
    const std::size_t size = count - begin < kBlock ? count - begin : kBlock;
    std::memcpy(block, bytes.data() + begin * sizeof(Bits), size * sizeof(Bits));
    bool found = false;
    for (std::size_t i = 0; i < size; ++i) found |= (block[i] & mask) == mask;
    if (!found) continue;
    for (std::size_t i = 0; i < size; ++i) {
      if ((block[i] & mask) == mask) return static_cast<std::int64_t>(begin + i);
    }
  }
  return std::nullopt;
}

}  // namespace

bool is_known_kind(std::uint16_t kind) {
  switch (static_cast<SectionKind>(kind)) {
    case SectionKind::config:
    case SectionKind::progress:
    case SectionKind::vocab:
    case SectionKind::history:
    case SectionKind::parameter:
    case SectionKind::adam_m:
    case SectionKind::adam_v: return true;
  }
  return false;
}

const char* kind_name(SectionKind kind) {
  switch (kind) {
    case SectionKind::config: return "config";
    case SectionKind::progress: return "progress";
    case SectionKind::vocab: return "vocab";
    case SectionKind::history: return "history";
    case SectionKind::parameter: return "parameter";
    case SectionKind::adam_m: return "adam_m";
    case SectionKind::adam_v: return "adam_v";
  }
  return "?";
}

bool is_known_dtype(std::uint16_t dtype) {
  switch (static_cast<DType>(dtype)) {
    case DType::f32:
    case DType::f64:
    case DType::bf16:
    case DType::i32:
    case DType::i64:
    case DType::u16:
    case DType::u8:
    case DType::f16: return true;
  }
  return false;
}

std::optional<std::int64_t> checked_bytes(const TensorInfo& info) {
  std::int64_t bytes = dtype_bytes(info.dtype);
  for (const std::int64_t dim : info.shape) {
    if (__builtin_mul_overflow(bytes, dim, &bytes)) return std::nullopt;
  }
  return bytes;
}

std::optional<Violation> check_section(const TensorInfo& info, std::uint32_t index) {
  if (!is_allowed_name(info.name)) return Violation{Msg::ck_name, shown_name(info.name), "[A-Za-z0-9._-]{1,255}"};
  const auto place = static_cast<SectionKind>(index + 1);  // the first four kinds are numbered in their order
  if (index < kRecordSections ? info.kind != place || info.name != kind_name(place) : is_record(info.kind)) {
    return Violation{Msg::ck_order, shown_name(info.name), index < kRecordSections ? kind_name(place) : "parameter"};
  }
  const auto rank = static_cast<std::int64_t>(info.shape.size());
  if (rank > format::kMaxRank) return Violation{Msg::ck_rank, std::to_string(rank), "0..8"};
  for (const std::int64_t dim : info.shape) {
    // A tensor has elements; a record may be empty.
    if (dim < (is_record(info.kind) ? 0 : 1)) return Violation{Msg::ck_dimension, std::to_string(dim), ">= 1"};
  }
  const auto bytes = checked_bytes(info);
  if (!bytes) return Violation{Msg::ck_dimension, ">= 2^63", "< 2^63"};
  if (!is_record(info.kind)) return std::nullopt;

  const DType dtype = info.kind == SectionKind::vocab ? DType::i32 : DType::u8;
  if (info.dtype != dtype) return Violation{Msg::ck_dtype, dtype_name(info.dtype), dtype_name(dtype)};
  if (rank != 1) return Violation{Msg::ck_rank, std::to_string(rank), "1"};
  const std::int64_t most = info.kind == SectionKind::vocab     ? format::kMaxVocabBytes
                            : info.kind == SectionKind::history ? format::kMaxHistoryBytes
                                                                : format::kMaxRecordBytes;
  if (*bytes > most) return Violation{Msg::ck_length, std::to_string(*bytes), "<= " + std::to_string(most)};
  return std::nullopt;
}

std::string hex(std::uint64_t value) {
  std::string text = "0x";
  for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[value >> shift & 15];
  return text;
}

bool is_clean_text(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i++]);
    if (first < 0x80) {
      if (first < 0x20 && first != '\n' && first != '\t') return false;
      continue;
    }
    // Unicode table 3-7: overlong forms, surrogates and values above U+10FFFF fall below `least` or into the holes.
    const int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
    if (first < 0xC2 || first > 0xF4 || text.size() - i < static_cast<std::size_t>(more)) return false;
    char32_t character = first & (0x3Fu >> more);
    for (int k = 0; k < more; ++k) {
      const auto next = static_cast<unsigned char>(text[i++]);
      if ((next & 0xC0) != 0x80) return false;
      character = character << 6 | (next & 0x3Fu);
    }
    const char32_t least = more == 3 ? 0x10000 : more == 2 ? 0x800 : 0x80;
    if (character < least || character > 0x10FFFF || (character >= 0xD800 && character <= 0xDFFF)) return false;
  }
  return true;
}

std::optional<std::int64_t> first_not_finite(DType dtype, std::span<const std::byte> bytes) {
  switch (dtype) {
    case DType::f32: return first_with_all<std::uint32_t>(bytes, 0x7F800000u);
    case DType::f64: return first_with_all<std::uint64_t>(bytes, 0x7FF0000000000000u);
    case DType::bf16: return first_with_all<std::uint16_t>(bytes, 0x7F80u);
    case DType::f16: return first_with_all<std::uint16_t>(bytes, 0x7C00u);
    case DType::i32:
    case DType::i64:
    case DType::u16:
    case DType::u8: break;
  }
  return std::nullopt;
}

std::int64_t TensorInfo::bytes() const {
  const auto bytes = checked_bytes(*this);
  if (!bytes) throw CheckpointError(name + ": " + tr(Msg::ck_dimension));
  return *bytes;
}

}  // namespace zhgpt
