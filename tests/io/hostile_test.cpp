// Attacks: files whose hashes are all right and whose fields are not. Refused by the rule they break, or harmless;
// never a crash, and never more memory than the file has bytes.
#include <fcntl.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "io/memory_counter.h"
#include "io/repair.h"
#include "io/sample.h"
#include "torture/effort.h"

namespace zhgpt::test {
namespace {

class Hostile : public testing::Test {
 protected:
  void SetUp() override {
    save_checkpoint(path_, sample_snapshot());
    good_ = file_bytes(path_);
  }
  std::string refusal_of(Bytes file) {
    repair_hashes(file, Layout(good_));
    put_file(path_, file);
    return refusal(path_);
  }
  // Writes one field and expects the refusal to name `part`.
  void expect_refused(std::size_t at, std::size_t width, std::uint64_t value, const std::string& part) {
    Bytes file = good_;
    put(file, at, width, value);
    const std::string text = refusal_of(file);
    EXPECT_NE(text.find(part), std::string::npos) << "byte " << at << " = " << value << ": \"" << text << "\"";
  }
  void expect_content_refused(int section, const std::string& bytes, const std::string& part) {
    Bytes file = good_;
    std::ranges::copy(bytes, file.begin() + static_cast<std::ptrdiff_t>(Layout(good_).records.at(static_cast<std::size_t>(section)).offset));
    const std::string text = refusal_of(file);
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }

  TempDirectory dir_;
  std::string path_ = dir_.file("a.bin");
  Bytes good_;
};

TEST_F(Hostile, TheRepairedOriginalIsAccepted) {
  Bytes file = good_;
  repair_hashes(file, Layout(good_));
  EXPECT_EQ(file, good_);
  EXPECT_EQ(refusal_of(good_), "");
}

// T4
TEST_F(Hostile, EveryFieldTimesExtremeValues) {
  const Layout layout(good_);
  const std::uint64_t size = good_.size();
  const std::uint64_t extremes[] = {0, 1, 2, 3, 127, 128, 255, 4096, 65535, 65536, size, size - 64, INT32_MAX, UINT32_MAX,
                                    std::uint64_t{1} << 32, INT64_MAX, std::uint64_t{1} << 63, UINT64_MAX - 4095, UINT64_MAX,
                                    0x5555555555555556, 0x4000000000000001};
  std::vector<std::size_t> places;
  for (std::size_t at = 0; at < 128; ++at) places.push_back(at);
  for (std::size_t at = layout.manifest; at < good_.size(); ++at) places.push_back(at);
  int refused = 0, harmless = 0;
  const std::int64_t before = live_memory();
  reset_peak_memory();
  const int fd = ::open(path_.c_str(), O_WRONLY);
  for (const std::size_t at : places) {
    for (const std::size_t width : {2, 4, 8}) {
      if (at + width > good_.size()) continue;
      for (const std::uint64_t value : extremes) {
        Bytes file = good_;
        put(file, at, width, value);
        repair_hashes(file, layout);
        ASSERT_EQ(::pwrite(fd, file.data(), file.size(), 0), static_cast<ssize_t>(file.size()));
        ++(refusal(path_).empty() ? harmless : refused);
      }
    }
  }
  ::close(fd);
  figure("T4", "hostile files refused", refused);
  figure("T4", "hostile files harmless", harmless);
  EXPECT_GT(refused, 10000);
  EXPECT_GT(harmless, 100);
  EXPECT_LT(peak_memory() - before, static_cast<std::int64_t>(8 * size + 65536));
}

TEST_F(Hostile, HeaderFieldsNameTheirRule) {
  expect_refused(0, 1, 0x88, "not a zhgpt checkpoint");
  expect_refused(8, 4, 0, "version numbers contradict");
  expect_refused(12, 4, 0, "version numbers contradict");
  expect_refused(12, 4, 2, "version numbers contradict");
  expect_refused(24, 8, std::uint64_t{1} << 63, "step is out of range");
  expect_refused(48, 4, 0x04030201, "byte order");
  expect_refused(52, 1, 1, "not zero");
  expect_refused(119, 1, 1, "not zero");
  expect_refused(128, 1, 1, "not zero");
  expect_refused(4095, 1, 1, "byte 4095: a reserved or padding byte is not zero");
}

TEST_F(Hostile, FutureFilesSayWhatIsNeeded) {
  Bytes file = good_;
  put(file, 8, 4, 9);
  EXPECT_EQ(refusal_of(file), "");  // a newer format that this reader may read
  put(file, 12, 4, 7);
  std::string text = refusal_of(file);
  for (const std::string part : {"up to version 1", "version 9", "version 7", "upgrade"}) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
  file = good_;
  put(file, 16, 4, 0x80000000);
  text = refusal_of(file);
  for (const std::string part : {"byte 16", "0x0000000080000000", "newer zhgpt"}) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
  file = good_;
  put(file, 20, 4, 0xFFFFFFFF);
  EXPECT_EQ(refusal_of(file), "");  // compat bits may be ignored
}

TEST_F(Hostile, TrailerAndManifestFieldsNameTheirRule) {
  const Layout layout(good_);
  const std::size_t trailer = layout.trailer;
  expect_refused(trailer, 1, 0, "end mark");
  expect_refused(trailer + 8, 8, 0, "size it was written with");
  expect_refused(trailer + 16, 8, UINT64_MAX - 63, "manifest does not lie");
  expect_refused(trailer + 24, 8, UINT64_MAX, "manifest does not lie");
  expect_refused(trailer + 48, 1, 0, "different files");
  expect_refused(layout.manifest, 4, 3, "number of sections");
  expect_refused(layout.manifest, 4, 6, "bytes are left");
  expect_refused(layout.manifest, 4, 8, "ends inside a record");
  expect_refused(layout.manifest, 4, UINT32_MAX, "number of sections");
  expect_refused(layout.manifest + 4, 4, 1, "not zero");
}

TEST_F(Hostile, RecordFieldsNameTheirRule) {
  const Layout layout(good_);
  const Layout::Record& config = layout.records[0];
  const Layout::Record& vocab = layout.records[2];
  const Layout::Record& weight = layout.records[4];
  expect_refused(weight.at, 2, 0, "unknown kind");
  expect_refused(weight.at, 2, 8, "unknown kind");
  expect_refused(weight.at, 2, 1, "first four sections");
  expect_refused(config.at, 2, 5, "first four sections");
  expect_refused(weight.at + 2, 2, 1, "unknown section flags");
  expect_refused(weight.at + 4, 2, 0, "number type");
  expect_refused(weight.at + 4, 2, 255, "number type");
  expect_refused(config.at + 4, 2, 1, "number type");
  expect_refused(weight.at + 6, 2, 9, "number of dimensions");
  expect_refused(weight.at + 6, 2, 65535, "number of dimensions");
  expect_refused(weight.dims_at, 8, 0, "dimension is out of range");
  expect_refused(weight.dims_at, 8, UINT64_MAX, "dimension is out of range");
  expect_refused(weight.dims_at, 8, std::uint64_t{1} << 62, "dimension is out of range");  // fits as elements, not as bytes
  expect_refused(weight.dims_at, 8, 6, "length does not fit");
  expect_refused(weight.name_length_at, 2, 0, "name is not allowed");
  expect_refused(weight.name_length_at, 2, 256, "name is not allowed");
  expect_refused(layout.records.back().name_length_at, 2, 255, "ends inside a record");
  expect_refused(weight.name_at, 1, '/', "name is not allowed");
  expect_refused(weight.name_at, 1, 0, "name is not allowed");
  expect_refused(weight.name_at, 1, 0xE5, "name is not allowed");
  expect_refused(config.name_at, 1, 'C', "first four sections");
  expect_refused(layout.records[5].at, 2, 5, "same name");
  expect_refused(weight.offset_at, 8, weight.offset + 4096, "does not start where");
  expect_refused(weight.offset_at, 8, layout.records[3].offset, "does not start where");
  expect_refused(weight.length_at, 8, weight.length - 1, "length does not fit");
  expect_refused(vocab.dims_at, 8, UINT64_MAX, "dimension is out of range");
  expect_refused(vocab.dims_at, 8, 0x200000, "length does not fit");
}

// Shape, length and the offsets behind it agree with each other, but not with the file.
TEST_F(Hostile, ASectionLargerThanTheFileIsRefused) {
  const Layout::Record last = Layout(good_).records.back();
  Bytes file = good_;
  put(file, last.dims_at, 8, std::uint64_t{1} << 40);
  put(file, last.length_at, 8, (std::uint64_t{1} << 40) * 12);
  const std::int64_t before = live_memory();
  reset_peak_memory();
  EXPECT_NE(refusal_of(file).find("length does not fit"), std::string::npos);
  EXPECT_LT(peak_memory() - before, 1 << 20);
}

TEST_F(Hostile, ContentsThatAreNotWhatTheySayAreRefused) {
  expect_content_refused(0, "no equals sign", "\"config\" is not valid text");
  expect_content_refused(0, "\xFF", "\"config\" is not valid text");
  expect_content_refused(1, "A = 1", "\"progress\" is not valid text");
  expect_content_refused(3, "\x1B[2J", "\"history\" is not valid text");
  expect_content_refused(3, "\xC0\x80", "\"history\" is not valid text");
  expect_content_refused(3, "\xED\xA0\x80", "\"history\" is not valid text");
  expect_content_refused(3, "\xF4\x90\x80\x80", "\"history\" is not valid text");
  expect_content_refused(4, std::string("\x00\x00\xC0\x7F", 4), "not finite");
  expect_content_refused(5, std::string("\x00\x00\x80\xFF", 4), "not finite");
}

// What a later version may add: a section of a kind unknown here, marked as optional.
TEST_F(Hostile, OptionalSectionsOfUnknownKindsAreSkipped) {
  const Layout layout(good_);
  Bytes file = good_;
  put(file, layout.records.back().at, 2, 77);
  put(file, layout.records.back().at + 2, 2, 1);
  ASSERT_EQ(refusal_of(file), "");
  const Checkpoint checkpoint = Checkpoint::open(path_);
  EXPECT_EQ(checkpoint.tensors().size(), 2u);
  Snapshot without = sample_snapshot();
  without.tensors.pop_back();
  EXPECT_EQ(checkpoint.state_hash(), state_hash(without));
  put(file, layout.records.back().at + 2, 2, 3);
  EXPECT_NE(refusal_of(file).find("unknown kind"), std::string::npos);
}

}  // namespace
}  // namespace zhgpt::test
