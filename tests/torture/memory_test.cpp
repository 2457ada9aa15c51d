// A host with little memory: saving, loading and preparing a text take a bounded amount of it however large
// the state or the text is, and any allocation may fail.
#include <fstream>

#include <gtest/gtest.h>

#include "io/memory_counter.h"
#include "io/sample.h"
#include "text/utf8.h"
#include "torture/effort.h"
#include "zhgpt/dataset.h"
#include "zhgpt/error.h"

namespace zhgpt::test {
namespace {

class Memory : public FormatTest {};
ZHGPT_FOR_EVERY_FORMAT(Memory);

// T26
TEST_P(Memory, EveryAllocationOfASaveMayFail) {
  TempDirectory dir(memory_directory());
  const std::string path = dir.file(name("a"));
  save_checkpoint(path, sample_snapshot(1));
  const Bytes before = file_bytes(path);
  const Snapshot next = sample_snapshot(2);
  std::int64_t failed = 0;
  for (const bool for_ever : {false, true}) {
    for (std::int64_t at = 1;; ++at, ++failed) {
      const std::int64_t live = live_memory();
      bool has_thrown = false, has_happened = false;
      {
        const AllocationFault fault(at, for_ever);
        try {
          save_checkpoint(path, next, true);
        } catch (const std::exception&) {
          has_thrown = true;
        }
        has_happened = fault.happened();
      }
      ASSERT_EQ(live_memory(), live) << "allocation " << at;
      if (!has_happened) break;
      ASSERT_TRUE(has_thrown) << "allocation " << at;
      ASSERT_EQ(dir.names(), std::vector<std::string>{name("a")}) << "allocation " << at;
      ASSERT_EQ(refusal(path), "");
      // After the rename only the directory's fsync is left: the new file may be there, and the caller is
      // told that it is not certain.
      if (file_bytes(path) != before) save_checkpoint(path, sample_snapshot(1), true);
    }
    save_checkpoint(path, sample_snapshot(1), true);
  }
  EXPECT_GT(failed, 50);
  figure("T26", "allocations of a save failed", failed);
}

// T26
TEST_P(Memory, EveryAllocationOfALoadMayFail) {
  TempDirectory dir(memory_directory());
  save_checkpoint(dir.file(name("a")), sample_snapshot(1));
  const std::uint64_t expected =
      Checkpoint::open(dir.file(name("a"))).state_hash();  // what is made once is made now
  std::int64_t failed = 0;
  for (const bool for_ever : {false, true}) {
    for (std::int64_t at = 1;; ++at, ++failed) {
      const std::int64_t live = live_memory();
      std::uint64_t found = expected;  // sorting does without the memory that it would like to have
      bool has_happened = false;
      {
        const AllocationFault fault(at, for_ever);
        try {
          found = Checkpoint::open(dir.file(name("a"))).state_hash();
        } catch (const std::exception&) {
        }
        has_happened = fault.happened();
      }
      ASSERT_EQ(live_memory(), live) << "allocation " << at;
      ASSERT_EQ(found, expected) << "allocation " << at;
      if (!has_happened) break;
    }
  }
  EXPECT_GT(failed, 20);
  figure("T26", "allocations of a load failed", failed);
}

// T24: what saving and loading may take, whatever the size of the state.
constexpr std::int64_t kCap = 2 * (16 << 20) + (4 << 20);

// Values that follow from their place, made when they are asked for.
TensorSource made_when_read(std::string tensor_name, std::int64_t rows, std::int64_t columns) {
  return {{SectionKind::parameter, std::move(tensor_name), DType::f32, {rows, columns}},
          [](std::int64_t offset, std::span<std::byte> to) {
            for (std::size_t at = 0; at + sizeof(float) <= to.size(); at += sizeof(float)) {
              const auto value = static_cast<float>((offset + static_cast<std::int64_t>(at)) % 4093);
              std::memcpy(to.data() + at, &value, sizeof value);
            }
          }};
}

// T24
TEST_P(Memory, AStateOfEightTimesTheCapIsSavedAndRead) {
  const std::int64_t cap = is_long_form() || std::string(GetParam()) == "bin" ? kCap : kCap / 4;
  constexpr std::int64_t kTensors = 16;
  Snapshot snapshot;
  for (std::int64_t i = 0; i < kTensors; ++i) {
    snapshot.tensors.push_back(
        made_when_read(std::to_string(i) + ".weight", 8 * cap / kTensors / 4096, 1024));
  }
  TempDirectory dir(memory_directory());
  std::int64_t before = live_memory();
  reset_peak_memory();
  save_checkpoint(dir.file(name("a")), snapshot);
  EXPECT_LT(peak_memory() - before, kCap);
  figure("T24", "bytes of memory to save", peak_memory() - before);

  const std::uint64_t expected = state_hash(snapshot);
  before = live_memory();
  reset_peak_memory();
  const Checkpoint checkpoint = Checkpoint::open(dir.file(name("a")));
  EXPECT_EQ(checkpoint.state_hash(), expected);
  EXPECT_LT(peak_memory() - before, kCap);
  figure("T24", "bytes of memory to load", peak_memory() - before);
  figure("T24", "bytes of the file", checkpoint.file_bytes());
}

// What preparing a text of so many bytes takes.
std::int64_t memory_to_prepare(std::int64_t bytes) {
  TempDirectory dir(memory_directory());
  std::string text;
  for (std::int64_t i = 0; std::ssize(text) < bytes; ++i) {
    for (std::int64_t k = 0; k < 40; ++k)
      append_utf8(text, static_cast<char32_t>(0x4E00 + (i * 7 + k * i) % 5000));
    text += i % 5 == 4 ? "。\n\n" : "，";
  }
  std::ofstream(dir.file("text.txt"), std::ios::binary) << text;
  text = {};
  const std::int64_t before = live_memory();
  reset_peak_memory();
  const Dataset dataset = prepare_dataset({dir.file("text.txt")}, {}, 1, dir.path());
  EXPECT_GT(dataset.train.count, bytes / 4);
  return peak_memory() - before;
}

// T24
TEST(Preparing, TakesNoMoreMemoryForALongerText) {
  const std::int64_t little = memory_to_prepare(1 << 20), much = memory_to_prepare(16 << 20);
  EXPECT_LT(much - little, 2 << 20);  // its tokens alone would take 10 MiB more
  figure("T24", "bytes of memory to prepare 16 MiB of text", much);
}

}  // namespace
}  // namespace zhgpt::test
