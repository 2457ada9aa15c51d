// The file of plans: what was kept is found again, and damage is passed over.
#include "cuda/matmul_plans.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "zhgpt/atomic_file.h"

namespace zhgpt::test {
namespace {

using cuda::MatmulAlgorithm;
using cuda::MatmulPlans;

class Plans : public ::testing::Test {
 protected:
  Plans() {
    std::string name = (std::filesystem::temp_directory_path() / "zhgpt_plans_XXXXXX").string();
    if (mkdtemp(name.data())) directory_ = name;
  }
  ~Plans() override { std::filesystem::remove_all(directory_); }
  std::string path() const { return directory_ + "/deep/plans.txt"; }

  const MatmulAlgorithm one_{1, 2, 3, 4, 5, 6, 7, 0xffffffffffffffffu}, two_{8};

 private:
  std::string directory_;
};

TEST_F(Plans, AreFoundByTheNextProcess) {
  MatmulPlans first(path());
  EXPECT_EQ(first.find("a b"), std::nullopt);
  EXPECT_EQ(first.keep("a b", one_), one_);
  EXPECT_EQ(first.keep("c", two_), two_);
  const MatmulPlans second(path());
  EXPECT_EQ(second.find("a b"), one_);
  EXPECT_EQ(second.find("c"), two_);
  EXPECT_EQ(second.find("a"), std::nullopt);
}

TEST_F(Plans, WhatAnotherProcessWroteStays) {
  MatmulPlans first(path()), second(path());
  EXPECT_EQ(first.keep("a", one_), one_);
  EXPECT_EQ(second.keep("b", two_), two_);
  EXPECT_EQ(second.keep("a", two_), one_);
  EXPECT_EQ(MatmulPlans(path()).find("a"), one_);
  EXPECT_EQ(MatmulPlans(path()).find("b"), two_);
}

TEST_F(Plans, DamagedLinesArePassedOver) {
  MatmulPlans plans(path());
  plans.keep("a", one_);
  plans.keep("b", two_);
  const std::string good = read_text_file(path());
  const std::size_t second = good.find('\n') + 1;
  for (std::size_t i = 0; i < second - 1; ++i) {  // every byte of the first line
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    write_text_file(path(), bad);
    const MatmulPlans read(path());
    EXPECT_EQ(read.find("a"), std::nullopt) << i;
    EXPECT_EQ(read.find("b"), two_) << i;
  }
  for (std::size_t length = 0; length < second - 1; ++length) {
    write_text_file(path(), good.substr(0, length));
    EXPECT_EQ(MatmulPlans(path()).find("a"), std::nullopt) << length;
  }
}

TEST_F(Plans, NowhereToKeepThem) {
  MatmulPlans plans("");
  EXPECT_EQ(plans.keep("a", one_), std::nullopt);
  MatmulPlans unwritable("/proc/zhgpt/plans.txt");
  EXPECT_EQ(unwritable.keep("a", one_), std::nullopt);
}

}  // namespace
}  // namespace zhgpt::test
