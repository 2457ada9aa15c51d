// DeviceCopy: another thread reads what the memory held when the copy was taken, whatever is run meanwhile.
#include <thread>

#include "support/device.h"

namespace zhgpt::test {
namespace {

class CopyOf : public OnDevice {
 protected:
  static constexpr std::int64_t kFirst = 300, kSecond = 77, kAll = kFirst + kSecond;

  void SetUp() override {
    OnDevice::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    first_ = bench().ints(std::vector<std::int32_t>(kFirst), {kFirst});
    second_ = bench().ints(std::vector<std::int32_t>(kSecond), {kSecond});
  }
  void fill(std::int32_t base) {
    std::vector<std::int32_t> numbers(static_cast<std::size_t>(kAll));
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = base + static_cast<std::int32_t>(i);
    bench().backend().upload(first_.data, numbers.data(), first_.bytes());
    bench().backend().upload(second_.data, numbers.data() + kFirst, second_.bytes());
  }
  // Every number of the copy from `begin` on is the one that was there, read on another thread.
  void expect(DeviceCopy& copy, std::int32_t base, std::int64_t begin, std::int64_t step) {
    std::vector<std::int32_t> got(static_cast<std::size_t>(kAll), -1);
    std::thread([&] {
      for (std::int64_t at = begin; at < kAll; at += step) {
        const auto count = static_cast<std::size_t>(std::min(step, kAll - at));
        copy.read(at * 4,
                  std::as_writable_bytes(std::span(got).subspan(static_cast<std::size_t>(at), count)));
      }
    }).join();
    for (std::size_t i = static_cast<std::size_t>(begin); i < got.size(); ++i)
      ASSERT_EQ(got[i], base + static_cast<std::int32_t>(i));
  }

  Tensor first_, second_;
};

TEST_P(CopyOf, StaysAsItWasWhileOperationsGoOn) {
  Backend& backend = bench().backend();
  for (const std::int64_t piece_numbers : {std::int64_t{1}, std::int64_t{50}, kAll, 4 * kAll}) {
    const auto copy = backend.make_device_copy({first_, second_}, piece_numbers * 4, "a copy");
    for (const std::int64_t step : {std::int64_t{13}, std::int64_t{50}, kAll}) {
      const auto base = static_cast<std::int32_t>(1000 * step);
      fill(base);
      copy->take();
      backend.zero(first_.data, first_.bytes());
      backend.zero(second_.data, second_.bytes());
      expect(*copy, base, 0, step);
      expect(*copy, base, 0, step);  // once more, as hashing after writing does
      expect(*copy, base, 200, step);
      fill(-base);
      copy->take();  // a piece that nobody asked for may still be under way from the copy before
      expect(*copy, -base, 100, step);
    }
  }
}

TEST_P(CopyOf, TakesAsMuchOfTheDeviceAsItCopies) {
  const auto copy = bench().backend().make_device_copy({first_, second_}, 64, "a copy");
  const auto memory = bench().backend().memory();
  EXPECT_EQ(std::count_if(memory.begin(), memory.end(),
                          [](const MemoryUse& use) { return use.what == "a copy" && use.bytes == kAll * 4; }),
            1);
}

ZHGPT_ON_EVERY_DEVICE(CopyOf);

}  // namespace
}  // namespace zhgpt::test
