// Accidents: every truncation, every flipped bit and every mixed-up sector of a checkpoint is refused, in
// every format.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>

#include <gtest/gtest.h>

#include "io/repair.h"
#include "io/sample.h"
#include "torture/effort.h"

namespace zhgpt::test {
namespace {

// One file that is damaged in place, thousands of times a second.
class Damage : public FormatTest {
 protected:
  void SetUp() override {
    save_checkpoint(path_, sample_snapshot());
    good_ = file_bytes(path_);
    fd_ = ::open(path_.c_str(), O_WRONLY);
    ASSERT_GE(fd_, 0);
    ASSERT_EQ(refusal(path_), "");
  }
  void TearDown() override {
    ::close(fd_);
    figure("T1-3", "damaged files", tried_);
    figure("T1-3", "of them refused", refused_);
  }

  void put(std::size_t at, const std::uint8_t* bytes, std::size_t count) {
    ASSERT_EQ(::pwrite(fd_, bytes, count, static_cast<off_t>(at)), static_cast<ssize_t>(count));
  }
  void put_all(const Bytes& bytes) {
    put(0, bytes.data(), bytes.size());
    ASSERT_EQ(::ftruncate(fd_, static_cast<off_t>(bytes.size())), 0);
  }
  bool is_refused() {
    ++tried_;
    const bool refused = !refusal(path_).empty();
    refused_ += refused;
    return refused;
  }

  TempDirectory dir_{memory_directory()};
  std::string path_ = dir_.file(name("a"));
  Bytes good_;
  int fd_ = -1;
  std::int64_t tried_ = 0, refused_ = 0;
};
ZHGPT_FOR_EVERY_FORMAT(Damage);

// T1
TEST_P(Damage, EveryTruncationIsRefused) {
  for (std::size_t size = good_.size(); size-- > 0;) {
    ASSERT_EQ(::ftruncate(fd_, static_cast<off_t>(size)), 0);
    ASSERT_TRUE(is_refused()) << "cut to " << size << " bytes";
  }
}

// T2
TEST_P(Damage, EveryFlippedBitIsRefused) {
  for (std::size_t at = 0; at < good_.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      const auto flipped = static_cast<std::uint8_t>(good_[at] ^ 1 << bit);
      put(at, &flipped, 1);
      ASSERT_TRUE(is_refused()) << "byte " << at << " bit " << bit;
    }
    put(at, &good_[at], 1);
  }
  EXPECT_EQ(refusal(path_), "");
}

// T3
TEST_P(Damage, RandomDamageIsRefused) {
  std::mt19937_64 random(1);
  Rounds rounds(20000);
  for (int i = 0; rounds.more(); ++i) {
    Bytes bytes = good_;
    for (std::size_t k = 1 + random() % 16; k > 0; --k)
      bytes[random() % bytes.size()] ^= static_cast<std::uint8_t>(1 + random() % 255);
    if (bytes == good_) continue;
    put_all(bytes);
    ASSERT_TRUE(is_refused()) << "case " << i;
  }
}

// T3
TEST_P(Damage, SectorsLostOrExchangedAreRefused) {
  constexpr std::size_t kSector = 512;
  std::mt19937_64 random(2);
  const auto expect_refused = [&](const Bytes& bytes) {
    if (bytes == good_) return;
    put_all(bytes);
    EXPECT_TRUE(is_refused());
  };
  for (std::size_t a = 0; a < good_.size(); a += kSector) {
    const std::size_t size = std::min(kSector, good_.size() - a);
    const auto fill = [&](auto value) {
      Bytes bytes = good_;
      std::generate_n(bytes.begin() + static_cast<std::ptrdiff_t>(a), size,
                      [&] { return static_cast<std::uint8_t>(value()); });
      expect_refused(bytes);
    };
    fill([] { return 0; });
    fill([] { return 0xFF; });
    fill([&] { return random(); });
    for (std::size_t b = a + kSector; b + kSector <= good_.size(); b += kSector) {
      Bytes bytes = good_;
      std::swap_ranges(bytes.begin() + static_cast<std::ptrdiff_t>(a),
                       bytes.begin() + static_cast<std::ptrdiff_t>(a + kSector),
                       bytes.begin() + static_cast<std::ptrdiff_t>(b));
      expect_refused(bytes);
    }
  }
}

// T3. Two checkpoints of one run: sections of one under the header or the trailer of the other.
TEST_P(Damage, MixturesOfTwoFilesAreRefused) {
  save_checkpoint(dir_.file(name("b")), sample_snapshot(8));
  const Bytes other = file_bytes(dir_.file(name("b")));
  // The parts of .bin begin at pages; its manifest, and all of the other formats, are looked at byte by byte.
  for (std::size_t cut = 0; cut < std::min(good_.size(), other.size());
       cut += cut + 1500 < good_.size() && cut % 4096 >= 128 ? 4096 - cut % 4096 : 1) {
    Bytes bytes = other;
    std::copy_n(good_.begin(), cut, bytes.begin());
    if (bytes == good_ || bytes == other) continue;
    put_all(bytes);
    ASSERT_TRUE(is_refused()) << "cut at " << cut;
  }
}

// T3
TEST_P(Damage, BytesBehindTheEndAreRefused) {
  save_checkpoint(dir_.file(name("b")), sample_snapshot(8, 5000));
  Bytes bytes = file_bytes(dir_.file(name("b")));  // an older, longer file that was not cut
  ASSERT_GT(bytes.size(), good_.size());
  std::ranges::copy(good_, bytes.begin());
  put_all(bytes);
  EXPECT_TRUE(is_refused());
  for (const std::size_t more : {1, 64, 4096}) {
    bytes = good_;
    bytes.resize(bytes.size() + more);
    put_all(bytes);
    EXPECT_TRUE(is_refused()) << more;
  }
}

// A name that leads to something else than a file is refused without waiting for it.
TEST(NotAFile, IsRefusedByItsKind) {
  TempDirectory dir;
  save_checkpoint(dir.file("a.bin"), sample_snapshot());
  std::filesystem::create_symlink(dir.file("a.bin"), dir.file("link.bin"));
  std::filesystem::create_symlink(dir.file("nothing"), dir.file("dangling.bin"));
  ASSERT_EQ(::mkfifo(dir.file("pipe.bin").c_str(), 0600), 0);
  EXPECT_NE(refusal(dir.file("link.bin")).find("symbolic link"), std::string::npos);
  EXPECT_NE(refusal(dir.file("dangling.bin")).find("symbolic link"), std::string::npos);
  EXPECT_NE(refusal(dir.file("pipe.bin")).find("pipe"), std::string::npos);
  EXPECT_NE(refusal(dir.path()).find("directory"), std::string::npos);
  EXPECT_NE(refusal("/dev/zero").find("special file"), std::string::npos);
  EXPECT_THROW(Checkpoint::open(dir.file("missing.bin")), IoError);
  EXPECT_THROW(Checkpoint::open(dir.file("a.bin/b")), IoError);
}

}  // namespace
}  // namespace zhgpt::test
