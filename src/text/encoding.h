// Which encoding a file is in, and turning its bytes into characters.
//
// Detection reads the whole file once (EncodingScan) and decides by these rules, in this order:
//   1. A byte order mark says it (UTF-8, UTF-16, UTF-32, GB18030).
//   2. Valid UTF-8 throughout is UTF-8, unless a fifth of the first 64 KiB are NUL bytes and nine tenths of
//   those lie
//      on the same side of the byte pairs: that is UTF-16 without a mark.
//   3. Otherwise, UTF-16 without a mark: the first 64 KiB hold control bytes that no text in a byte encoding
//   has,
//      fewer than half of the byte pairs are two printable ASCII bytes, and nine tenths of the pairs, read in
//      one of the two orders, are Han, CJK punctuation, fullwidth or ASCII.
//   4. Otherwise, nearly UTF-8: at least half of the bytes above 0x7F belong to valid three- or four-byte
//   sequences.
//      In GB18030 and Big5 text 3 to 7 in a hundred do by chance. Such a file is damaged UTF-8, no other
//      encoding.
//   5. Otherwise uchardet's answer for 64 KiB from the first byte above 0x7F on, cut between characters, when
//   it is one
//      of the GB family (read as GB18030, which contains it) or Big5 (read as Big5-HKSCS, which contains it).
//   6. Otherwise it is not known. With on_invalid replace or skip the file is read as UTF-8; else it is an
//   error.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "text/utf8.h"

namespace zhgpt {

class EncodingScan {
 public:
  // Bytes in order; pieces of any size.
  void push(std::string_view bytes);
  // To be called once, after the last piece: the encoding's name for make_decoder, or "" when it is not
  // known.
  std::string finish();
  // What uchardet called it when rule 5 had no use for its answer; may be "".
  const std::string& guess() const { return guess_; }

 private:
  std::string utf16_without_mark() const;
  std::string ask_uchardet();

  static constexpr std::size_t kSampleBytes = 64 << 10;
  std::string head_;         // the first kSampleBytes
  std::string high_sample_;  // kSampleBytes from the first byte above 0x7F on
  std::string carry_;        // an unfinished UTF-8 character
  std::string guess_;
  std::int64_t high_bytes_ = 0, long_sequence_bytes_ = 0, invalid_ = 0;
};

// Turns bytes of one encoding into characters, in the manner of decode_utf8.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual DecodeStep decode(std::string_view in, bool last, std::u32string& out) = 0;
};

// "UTF-8" or any name that iconv knows. Throws ConfigError for another.
std::unique_ptr<Decoder> make_decoder(const std::string& encoding);

}  // namespace zhgpt
