// Attacks on the formats that are documents: files whose hash is right and whose contents are not. Refused or
// harmless; never a crash, and never more memory than the file is worth.
//
// The hash is made right by checkpoints/FORMAT.md alone: XXH3-64 of the whole file, with zeros of the same
// width where it stands.
#include <gtest/gtest.h>

#include "io/memory_counter.h"
#include "io/repair.h"
#include "io/sample.h"
#include "torture/effort.h"

namespace zhgpt::test {
namespace {

class HostileDocument : public FormatTest {
 protected:
  HostileDocument() {
    save_checkpoint(path_, sample_snapshot());
    good_ = file_bytes(path_);
    const std::string mark = is_binary_                          ? "\xA4hash\xCF"
                             : std::string(GetParam()) == "json" ? "\"hash\": \""
                                                                 : "\"zhgpt.hash\":\"";
    hash_at_ = std::string(good_.begin(), good_.end()).find(mark) + mark.size();
  }

  void repair(Bytes& file) const {
    const std::size_t width = is_binary_ ? 8 : 16;
    if (file.size() < hash_at_ + width) return;
    std::fill_n(file.begin() + static_cast<std::ptrdiff_t>(hash_at_), width, is_binary_ ? 0 : '0');
    const std::uint64_t hash = xxh3(file, 0, file.size());
    for (std::size_t i = 0; i < width; ++i) {
      const std::uint64_t digit =
          is_binary_ ? hash >> (56 - 8 * i) & 0xFF
                     : static_cast<unsigned char>("0123456789abcdef"[hash >> (60 - 4 * i) & 15]);
      file[hash_at_ + i] = static_cast<std::uint8_t>(digit);
    }
  }
  void try_file(Bytes file) {
    repair(file);
    put_file(path_, file);
    const std::int64_t before = live_memory();
    reset_peak_memory();
    ++(refusal(path_).empty() ? harmless_ : refused_);
    ASSERT_LT(peak_memory() - before, static_cast<std::int64_t>(16 * file.size() + (1 << 20)));
  }
  void tell() const {
    figure("T4", "hostile files refused", refused_);
    figure("T4", "hostile files harmless", harmless_);
  }

  TempDirectory dir_{memory_directory()};
  std::string path_ = dir_.file(name("a"));
  bool is_binary_ = std::string(GetParam()) == "mpk";
  Bytes good_;
  std::size_t hash_at_ = 0;
  std::int64_t refused_ = 0, harmless_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Formats, HostileDocument, testing::Values("json", "mpk", "safetensors"),
                         [](const auto& test) { return std::string(test.param); });

TEST_P(HostileDocument, TheRepairedOriginalIsAccepted) {
  Bytes file = good_;
  repair(file);
  EXPECT_EQ(file, good_);
  EXPECT_EQ(refusal(path_), "");
}

// T4: bytes that mean something to a parser, at every place.
TEST_P(HostileDocument, EveryByteTimesTelling) {
  const std::string telling =
      std::string("\0\x7F\x80\x91\xC0\xC1\xC6\xD9\xDB\xDD\xDF\xFF", 12) + "\"\\[]{},:-+.09eEnt/ \n";
  for (std::size_t at = 0; at < good_.size(); ++at) {
    for (const char byte : telling) {
      Bytes file = good_;
      file[at] = static_cast<std::uint8_t>(byte);
      try_file(file);
    }
  }
  EXPECT_GT(refused_, 1000);
  tell();
}

// T4: numbers of 2, 4 and 8 bytes, in both orders.
TEST_P(HostileDocument, EveryPlaceTimesExtremeNumbers) {
  const std::uint64_t extremes[] = {0,
                                    1,
                                    255,
                                    65535,
                                    good_.size(),
                                    INT32_MAX,
                                    UINT32_MAX,
                                    INT64_MAX,
                                    std::uint64_t{1} << 63,
                                    UINT64_MAX,
                                    0x5555555555555556};
  for (std::size_t at = 0; at < good_.size(); ++at) {
    for (const std::size_t width : {2, 4, 8}) {
      if (at + width > good_.size()) continue;
      for (const std::uint64_t value : extremes) {
        Bytes file = good_;
        put(file, at, width, value);
        try_file(file);
        for (std::size_t i = 0; i < width; ++i)
          file[at + i] = static_cast<std::uint8_t>(value >> (8 * (width - 1 - i)));
        try_file(file);
      }
    }
  }
  EXPECT_GT(refused_, 1000);
  tell();
}

// T4: numbers that are written as text. The length of a .safetensors header follows.
TEST_P(HostileDocument, EveryDecimalTimesExtremeOnes) {
  if (is_binary_) return;  // it has none
  const std::string text(good_.begin(), good_.end());
  const std::size_t begin = std::string(GetParam()) == "safetensors" ? 8 : 0;
  const std::size_t end = begin ? 8 + get(good_, 0, 8) : good_.size();
  for (std::size_t at = begin; at < end; ++at) {
    if (!std::isdigit(static_cast<unsigned char>(text[at]))) continue;
    const std::size_t after = text.find_first_not_of("0123456789.", at);
    for (const char* number :
         {"0", "-0", "-1", "1.5", "1e999", "-1e-999", "9223372036854775807", "9223372036854775808",
          "18446744073709551615", "18446744073709551616", "99999999999999999999999999", "4611686018427387905",
          "null", "true", "[]", "{}", "\"x\"", "NaN"}) {
      const std::string changed = text.substr(0, at) + number + text.substr(after);
      Bytes file(changed.begin(), changed.end());
      if (begin) put(file, 0, 8, end - 8 + changed.size() - text.size());
      try_file(file);
    }
    at = after;
  }
  EXPECT_GT(refused_, 300);
  tell();
}

// T4: nesting without end, and a header as long as a file can say.
TEST_P(HostileDocument, DeepNestingIsRefused) {
  for (const char* open : {"[", "{\"a\":", "{\"layers\":[", "{\"config\":{\"a\":["}) {
    std::string text;
    for (int i = 0; i < 100000; ++i) text += open;
    Bytes file(text.begin(), text.end());
    if (std::string(GetParam()) == "safetensors") {
      file.insert(file.begin(), 8, 0);
      put(file, 0, 8, text.size());
    }
    put_file(path_, file);
    EXPECT_NE(refusal(path_), "");
  }
  for (const int byte : {0x91, 0x81, 0xDC, 0xDD, 0xDF}) {
    put_file(path_, Bytes(1000000, static_cast<std::uint8_t>(byte)));
    EXPECT_NE(refusal(path_), "");
    Bytes file = good_;
    file.insert(file.begin() + static_cast<std::ptrdiff_t>(hash_at_ + 8), 100000,
                static_cast<std::uint8_t>(byte));
    try_file(file);
  }
  EXPECT_EQ(harmless_, 0);
}

}  // namespace
}  // namespace zhgpt::test
