// Where a profile says that the time went, from events at made-up instants.
#include "zhgpt/profile.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "support/temp_directory.h"
#include "zhgpt/error.h"

namespace zhgpt::test {
namespace {

using Place = Observer::Place;

class Phases : public ::testing::Test {
 protected:
  // From so many milliseconds on, so long.
  static Interval at(int begin_ms, int ms) {
    const Interval::Clock::time_point zero{};
    return {zero + std::chrono::milliseconds(begin_ms), zero + std::chrono::milliseconds(begin_ms + ms)};
  }
  void operation(const char* name, int begin_ms, int ms) {
    profile_.on_operation({.operation = name, .bytes = 8}, at(begin_ms, ms));
  }
  void span(Place place, const char* what, int begin_ms, int ms) {
    profile_.on_span(place, what, at(begin_ms, ms));
  }
  double ms(Phase phase) const { return profile_.ms_by_phase()[static_cast<std::size_t>(phase)]; }

  TempDirectory directory_;
  Profile profile_{directory_.file("trace.json"), 2};
};

TEST_F(Phases, AreThoseOfTheOperations) {
  profile_.start();
  operation("BeginStep", 0, 1);
  operation("zero", 1, 2);
  operation("GatherBatch", 3, 4);
  operation("LinearForward", 7, 8);
  operation("HeadLoss", 15, 16);
  operation("LinearBackwardWeight", 31, 32);
  operation("AdamW", 63, 64);
  span(Place::training, "step", 0, 127);
  profile_.finish();
  EXPECT_EQ(ms(Phase::data), 4);
  EXPECT_EQ(ms(Phase::forward), 8);
  EXPECT_EQ(ms(Phase::head), 16);
  EXPECT_EQ(ms(Phase::backward), 2 + 32);
  EXPECT_EQ(ms(Phase::optimizer), 1 + 64);
  EXPECT_EQ(profile_.steps_seen(), 1);
}

TEST_F(Phases, AnEvaluationIsCountedOnceAndTheWriterNotAtAll) {
  profile_.start();
  operation("LinearForward", 0, 10);
  operation("LinearForward", 20, 5);  // of the evaluation
  operation("HeadLoss", 25, 5);
  span(Place::training, "evaluation", 20, 12);
  span(Place::training, "save", 40, 3);
  span(Place::saving, "save", 43, 100);
  operation("LinearForward", 50, 10);  // while the other thread writes
  span(Place::training, "sample", 70, 7);
  profile_.finish();
  EXPECT_EQ(ms(Phase::forward), 20);
  EXPECT_EQ(ms(Phase::head), 0);
  EXPECT_EQ(ms(Phase::evaluation), 12);
  EXPECT_EQ(ms(Phase::save), 3);
  EXPECT_EQ(ms(Phase::sample), 7);
}

TEST_F(Phases, WhatIsNotFinishedLeavesNoFile) {
  profile_.start();
  EXPECT_FALSE(std::filesystem::exists(directory_.file("trace.json")));
  profile_.finish();
  EXPECT_TRUE(std::filesystem::exists(directory_.file("trace.json")));
  { const Profile other(directory_.file("other.json"), 1); }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_.path()), {}), 1);
  EXPECT_THROW(Profile(directory_.path(), 1), IoError);
  EXPECT_THROW(Profile(directory_.file("no/trace.json"), 1), IoError);
}

}  // namespace
}  // namespace zhgpt::test
