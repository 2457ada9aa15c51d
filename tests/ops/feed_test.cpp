// Feed: what is run after a send reads what was sent, though nobody waits in between.
#include "support/device.h"

namespace zhgpt::test {
namespace {

class FeedOf : public OnDevice {};

TEST_P(FeedOf, WhatIsRunAfterASendReadsWhatWasSent) {
  constexpr std::int64_t kRounds = 9, kNumbers = 300, kBytes = kNumbers * 4;
  const auto zeros = [](std::int64_t count) {
    return std::vector<std::int32_t>(static_cast<std::size_t>(count));
  };
  const Tensor slots = bench().ints(zeros(Feed::kSlots * kNumbers), {Feed::kSlots, kNumbers});
  const Tensor seen = bench().ints(zeros(kRounds * kNumbers), {kRounds, kNumbers});
  bench().backend().zero(slots.data, slots.bytes());  // which the first copies are not to be overtaken by
  const auto feed = bench().backend().make_feed(slots.data, kBytes);
  for (std::int64_t round = 0; round < kRounds; ++round) {
    const std::int64_t slot = (round + 1) % Feed::kSlots;  // either may be the first
    auto* numbers = static_cast<std::int32_t*>(feed->begin(slot));
    for (std::int64_t i = 0; i < kNumbers; ++i) numbers[i] = static_cast<std::int32_t>(round * kNumbers + i);
    feed->send(slot);
    bench().backend().copy(seen.rows(round, 1).data, slots.rows(slot, 1).data, kBytes);
  }
  const std::vector<std::int32_t> got = bench().read_ints(seen);
  for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], static_cast<std::int32_t>(i));
}

ZHGPT_ON_EVERY_DEVICE(FeedOf);

}  // namespace
}  // namespace zhgpt::test
