// Constants of checkpoint format version 1. What they mean, byte by byte: checkpoints/FORMAT.md.
// DO NOT CHANGE A VALUE: files that exist depend on it. A change of layout is a new version or an incompat bit.
#pragma once

#include <array>
#include <cstdint>

namespace zhgpt::format {

inline constexpr std::array<std::uint8_t, 8> kMagic = {0x89, 'C', 'G', 'P', 0x0D, 0x0A, 0x1A, 0x0A};
inline constexpr std::uint32_t kVersion = 1;         // what the writer writes and the newest that the reader reads
inline constexpr std::uint32_t kMinReader = 1;       // the oldest reader that can read what the writer writes
inline constexpr std::uint32_t kIncompatFloat16 = 1; // incompat bit: there may be sections of dtype f16
inline constexpr std::uint32_t kKnownIncompat = kIncompatFloat16;
inline constexpr std::uint32_t kEndianTag = 0x01020304;

inline constexpr std::int64_t kHeaderBytes = 128;
inline constexpr std::int64_t kHeaderHashAt = 120;
inline constexpr std::int64_t kTrailerBytes = 64;
inline constexpr std::int64_t kTrailerHashAt = 56;
inline constexpr std::int64_t kAlignment = 4096;
inline constexpr std::int64_t kChunkBytes = 16 << 20;
inline constexpr std::int64_t kManifestHeadBytes = 8;
inline constexpr std::int64_t kMinRecordBytes = 35;  // no dimensions, a name of one byte, no chunks

inline constexpr std::uint16_t kSectionOptional = 1;  // flag: a reader that does not know the kind may skip it

inline constexpr std::int64_t kMaxSections = 65536;
inline constexpr std::int64_t kMaxManifestBytes = 64 << 20;
inline constexpr std::int64_t kMaxRank = 8;
inline constexpr std::int64_t kMaxNameBytes = 255;
inline constexpr std::int64_t kMaxRecordBytes = 64 << 10;       // config, progress
inline constexpr std::int64_t kMaxVocabBytes = 4 * (0x110000 + 2);  // every code point and two specials
inline constexpr std::int64_t kMaxHistoryBytes = 1 << 30;

constexpr std::int64_t align_up(std::int64_t offset) { return (offset + kAlignment - 1) / kAlignment * kAlignment; }
constexpr std::int64_t chunk_count(std::int64_t bytes) { return bytes / kChunkBytes + (bytes % kChunkBytes != 0); }

}  // namespace zhgpt::format
