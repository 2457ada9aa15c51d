// The proof of exact resuming: passes where it is exact, and names the first step where it is not.
#include "train/resume_check.h"

#include "selftest/sabotage.h"
#include "train/fixture.h"

namespace zhgpt {
namespace {

class ResumeCheckTest : public ::testing::Test {
 protected:
  // `spoiled`: which of the three backends does `operation` wrong; 0: none.
  ResumeCheck check(int spoiled = 0, const char* operation = "") {
    Config config = test::small_config();
    config.model.dropout = 0.2;
    Dataset dataset = test::made_up_dataset(400, 100, 24);
    int made = 0;
    const auto make = [&]() -> std::unique_ptr<Backend> {
      auto backend = make_backend("cpu", ++made);  // another number of threads each
      if (made != spoiled) return backend;
      return std::make_unique<test::Saboteur>(std::move(backend), operation, test::Damage::off_by_one);
    };
    return check_resume(make, config, dataset, 4, 9, directory_.path(),
                        [&](std::int64_t done, std::int64_t total) {
                          last_progress_ = {done, total};
                        });
  }
  test::TempDirectory directory_;
  std::pair<std::int64_t, std::int64_t> last_progress_;
};

// T11
TEST_F(ResumeCheckTest, AgreesWhereResumingIsExact) {
  const ResumeCheck result = check();
  EXPECT_EQ(result.straight.size(), 9u);
  EXPECT_EQ(result.resumed.size(), 9u);
  for (std::size_t i = 0; i < 9; ++i) {
    EXPECT_EQ(result.straight[i].step, static_cast<std::int64_t>(i) + 1);
    EXPECT_EQ(result.resumed[i].step, static_cast<std::int64_t>(i) + 1);
  }
  EXPECT_EQ(result.first_difference(), 0);
  EXPECT_TRUE(result.agrees());
  EXPECT_EQ(last_progress_, std::pair(std::int64_t{18}, std::int64_t{18}));
  EXPECT_EQ(Checkpoint::open(directory_.file("state.bin")).step(), 4);
}

// T13
TEST_F(ResumeCheckTest, NamesTheFirstStepThatDiffers) {
  EXPECT_EQ(check(2, "LinearForward").first_difference(), 1);
  EXPECT_FALSE(test::contents(directory_.file("state.bin")).empty());
}
TEST_F(ResumeCheckTest, SeesADifferenceAfterLoadingOnly) {
  const ResumeCheck result = check(3, "LinearForward");
  EXPECT_EQ(result.first_difference(), 5);
  EXPECT_FALSE(result.agrees());
  EXPECT_NE(result.straight_hash, result.resumed_hash);
}
TEST_F(ResumeCheckTest, AStateThatDiffersAtTheEndIsSeenThoughNoLossDoes) {
  ResumeCheck result = check();
  result.resumed_hash ^= 1;
  EXPECT_EQ(result.first_difference(), 0);
  EXPECT_FALSE(result.agrees());
}
TEST_F(ResumeCheckTest, AZeroOfTheOtherSignIsADifference) {
  ResumeCheck result = check();
  result.straight[6].grad_norm = 0.f;
  result.resumed[6].grad_norm = -0.f;
  EXPECT_EQ(result.first_difference(), 7);
}

}  // namespace
}  // namespace zhgpt
