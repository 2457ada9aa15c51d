// Recording: what was captured goes on giving the same bits, whatever other operations need in between.
#include "support/device.h"
#include "support/fill.h"

namespace zhgpt::test {
namespace {

class Recorded : public OnDevice {
 protected:
  // One query for each of B rows against S positions: where S is large, partial results go to scratch memory.
  AttentionDecode attention(std::int64_t B, std::int64_t S) {
    constexpr std::int64_t NH = 1, HS = 8;
    const auto cache = random_reals(B * NH * S * HS, 1);
    return {
        bench().unset({B, NH, HS}), bench().reals(cache, {B, NH, S, HS}),
        bench().reals(cache, {B, NH, S, HS}), bench().reals(random_reals(B * 3 * NH * HS, 2), {B, 3, NH, HS}),
        bench().ints(std::vector<std::int32_t>(static_cast<std::size_t>(B), static_cast<std::int32_t>(S - 1)),
                     {B})};
  }
};

TEST_P(Recorded, GoesOnAfterScratchMemoryHasMoved) {
  const AttentionDecode small = attention(1, 600), large = attention(40, 1100);
  const auto recording = bench().backend().record([&] { bench().run(small); });
  recording->replay();
  const auto want = bench().bits(small.out);
  const auto expect_it_again = [&] {
    bench().backend().zero(small.out.data, small.out.bytes());
    recording->replay();
    EXPECT_EQ(bench().bits(small.out), want);
  };
  for (int i = 0; i < 2; ++i) expect_it_again();
  bench().run(large);
  for (int i = 0; i < 2; ++i) expect_it_again();  // of what was given back, the checkers would tell
}

ZHGPT_ON_EVERY_DEVICE(Recorded);

}  // namespace
}  // namespace zhgpt::test
