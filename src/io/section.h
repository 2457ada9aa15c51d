// What a section of a checkpoint may be: the rules that the writer keeps and the reader checks, in one place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "zhgpt/checkpoint.h"
#include "zhgpt/messages.h"

namespace zhgpt {

inline constexpr int kRecordSections = 4;  // config, progress, vocab, history: always there, always first

// A rule that is broken, in the words of messages/io.def, with what was found and what was expected.
struct Violation {
  Msg rule;
  std::string found, expected;
};

bool is_known_kind(std::uint16_t kind);
bool is_known_dtype(std::uint16_t dtype);
const char* kind_name(SectionKind kind);
inline bool is_record(SectionKind kind) { return kind >= SectionKind::config && kind <= SectionKind::history; }

// The size in bytes, unless it does not fit 63 bits.
std::optional<std::int64_t> checked_bytes(const TensorInfo& info);

// Rank, dimensions, name, dtype and size of a section at place `index` (kinds and dtypes already known to exist).
std::optional<Violation> check_section(const TensorInfo& info, std::uint32_t index);

std::string hex(std::uint64_t value);  // "0x00000000000000ff"

// Text of a record: UTF-8 without control characters besides tab and newline.
bool is_clean_text(std::string_view text);

// The place of the first element that is NaN or infinite; nullopt for integers. REQUIRES: whole elements.
std::optional<std::int64_t> first_not_finite(DType dtype, std::span<const std::byte> bytes);

}  // namespace zhgpt
