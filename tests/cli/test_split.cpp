// zhgpt split, merge and run-split from outside.
#include "cli/journey.h"

namespace zhgpt::test {
namespace {

namespace fs = std::filesystem;

class SplitJourney : public Journey {
 protected:
  void train_four_layers() const {
    const ProcessResult result =
        call({"train", corpus(), "-o", run(), "--n-layer=4", "--n-head=2", "--n-embd=16", "--block-size=16",
              "--batch-size=4", "--threads=1", "--max-iters=20"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
  std::string part(const std::string& name, const std::string& points = "1-3") const {
    return file("models/" + name + "/poem_" + points + "_" + name + ".bin");
  }
  ProcessResult split(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"split", run(), "--name=poem", "--out", file("models")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return call(std::move(arguments));
  }
  ProcessResult with_parts(const char* verb, std::vector<std::string> more) const {
    std::vector<std::string> arguments = {verb, part("bottom"), part("trunk"), part("top")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return call(std::move(arguments));
  }
  std::string model() const { return run("step_00000020.bin"); }
};

// S4-6, S4-7, S4-11, S4-12, S4-17
TEST_F(SplitJourney, SplitListsThePartsAndSaysWhyTheyAreLarger) {
  train_four_layers();
  const ProcessResult result = split({"--at=1,3"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  std::int64_t sum = 0;
  for (const char* name : {"bottom", "trunk", "top"}) {
    EXPECT_TRUE(fs::is_regular_file(part(name))) << name;
    EXPECT_TRUE(fs::is_regular_file(part(name).substr(0, part(name).size() - 4) + "_metadata.json")) << name;
    const Json json = inspect(part(name));
    EXPECT_TRUE(holds(result.out, std::to_string(json["parameters"].get<std::int64_t>()))) << result.out;
    EXPECT_TRUE(holds(json["part"].get<std::string>(), name)) << json["part"];
    sum += json["parameters"].get<std::int64_t>();
  }
  const Json whole = inspect(model());
  const std::int64_t wte = whole["vocab_size"].get<std::int64_t>() * 16;
  EXPECT_EQ(sum - whole["parameters"].get<std::int64_t>(), wte);
  for (const std::string& words :
       {std::to_string(sum), whole["parameters"].dump(), "The " + std::to_string(wte) + " more",
        std::string("1-2 "), std::string("3 file(s)")}) {
    EXPECT_TRUE(holds(result.out, words)) << words << "\n" << result.out;
  }
}

// S4-3, S4-4, S4-5, S4-15, S4-22
TEST_F(SplitJourney, WhatCanNotBeSplitIsRefusedAndNothingIsWritten) {
  train_four_layers();
  const auto refused = [&](std::vector<std::string> more, int code, const std::string& words) {
    const ProcessResult result = split(std::move(more));
    EXPECT_EQ(result.exit_code, code) << result.err;
    EXPECT_TRUE(holds(result.err, words)) << words << "\n" << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_FALSE(fs::exists(file("models")));
  };
  refused({}, 2, "--at 2,10");
  refused({"--at=2"}, 2, "two split points");
  refused({"--at=1,2,3"}, 2, "two split points");
  refused({"--at=3,2"}, 2, "3 and 2 do not fit a model of 4 layers");
  refused({"--at=1,4"}, 2, "1 and 4 do not fit a model of 4 layers");
  refused({"--at=1,3", "--parts=bottom,middle"}, 2, "bottom, trunk or top");

  EXPECT_EQ(split({"--at=1,3", "--parts=trunk", "--no-metadata"}).exit_code, 0);
  EXPECT_EQ(contents(file("models/trunk")).size(), 1u);
  EXPECT_FALSE(fs::exists(file("models/bottom")));
  EXPECT_EQ(split({"--at=1,3"}).exit_code, 5) << "over no file that exists";
  EXPECT_FALSE(fs::exists(file("models/bottom"))) << "not even half of it";
  EXPECT_EQ(split({"--at=1,3", "--overwrite"}).exit_code, 0);

  const ProcessResult again = call({"split", part("trunk"), "--at=1,2"});
  EXPECT_EQ(again.exit_code, 4);
  EXPECT_TRUE(holds(again.err, "needs the full model")) << again.err;
}

// S4-10
TEST_F(SplitJourney, MergeGivesTheFileBack) {
  train_four_layers();
  ASSERT_EQ(split({"--at=1,3"}).exit_code, 0);
  EXPECT_EQ(with_parts("merge", {}).exit_code, 2) << "no output was named";
  const ProcessResult result = with_parts("merge", {"-o", file("back.bin")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(read_file(file("back.bin")) == read_file(model()));
  EXPECT_EQ(with_parts("merge", {"-o", file("back.bin")}).exit_code, 5);
  EXPECT_EQ(with_parts("merge", {"-o", file("back.bin"), "--overwrite"}).exit_code, 0);
  EXPECT_EQ(call({"merge", part("bottom"), part("top"), "-o", file("x.bin")}).exit_code, 2);
  const ProcessResult twice = call({"merge", part("bottom"), part("top"), part("top"), "-o", file("x.bin")});
  EXPECT_EQ(twice.exit_code, 4);
  EXPECT_TRUE(holds(twice.err, "trunk is missing")) << twice.err;
  damage(part("trunk"));
  EXPECT_EQ(with_parts("merge", {"-o", file("x.bin")}).exit_code, 4);
  EXPECT_FALSE(fs::exists(file("x.bin")));
}

// S4-8, S4-23, S4-25
TEST_F(SplitJourney, RunSplitWritesWhatTheWholeModelWritesAndProvesIt) {
  train_four_layers();
  ASSERT_EQ(split({"--at=1,3"}).exit_code, 0);
  const ProcessResult whole = call({"sample", run(), "-p", "天地", "-n", "30", "--greedy", "--device=cpu"});
  const ProcessResult parts = with_parts(
      "run-split", {"-p", "天地", "-n", "30", "--devices=bottom=cpu,trunk=cpu,top=cpu", "--check", model()});
  EXPECT_EQ(parts.exit_code, 0) << parts.err;
  EXPECT_TRUE(parts.out.ends_with("\n" + whole.out)) << parts.out << "\n" << whole.out;
  EXPECT_TRUE(holds(parts.err, "the same bits as " + model())) << parts.err;

  const auto refused = [&](std::vector<std::string> more, int code) {
    const ProcessResult result = with_parts("run-split", std::move(more));
    EXPECT_EQ(result.exit_code, code) << result.err;
    return result.err;
  };
  refused({"--devices=cpu"}, 2);
  refused({"--devices=middle=cpu"}, 2);
  refused({"--devices=top=abacus"}, 2);
  refused({"--devices=bottom=auto,trunk=cpu", "--check", model()}, 2);
  const ProcessResult other = call({"train", corpus(), "-o", file("other"), "--n-layer=4", "--n-head=2",
                                    "--n-embd=16", "--block-size=16", "--threads=1", "--max-iters=1"});
  ASSERT_EQ(other.exit_code, 0) << other.err;
  EXPECT_TRUE(
      holds(refused({"--check", file("other/step_00000001.bin")}, 4), "not the model that was split"));
}

// S4-20, S4-22
TEST_F(SplitJourney, APartAloneIsNeitherSampledNorTrained) {
  train_four_layers();
  ASSERT_EQ(split({"--at=1,3"}).exit_code, 0);
  for (const char* verb : {"sample", "resume"}) {
    const ProcessResult result = call({verb, part("top")});
    EXPECT_EQ(result.exit_code, 4) << verb;
    EXPECT_TRUE(holds(result.err, "zhgpt run-split")) << verb << "\n" << result.err;
  }
}

// S4-24: --out, then the environment, then ./models.
TEST_F(SplitJourney, ModelsGoWhereTheyAreAskedTo) {
  train_four_layers();
  fs::create_directory(file("here"));
  const auto split_in = [&](std::map<std::string, std::string> environment, std::vector<std::string> more) {
    std::vector<std::string> arguments = {"split", run(), "--at=1,3", "--parts=top", "--name=poem"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    EXPECT_EQ(run_program({.arguments = arguments, .environment = environment, .directory = file("here")})
                  .exit_code,
              0);
  };
  split_in({}, {});
  EXPECT_TRUE(fs::exists(file("here/models/top/poem_1-3_top.bin")));
  split_in({{"ZHGPT_MODELS", file("there")}}, {});
  EXPECT_TRUE(fs::exists(file("there/top/poem_1-3_top.bin")));
  split_in({{"ZHGPT_MODELS", file("there")}}, {"--out", file("elsewhere")});
  EXPECT_TRUE(fs::exists(file("elsewhere/top/poem_1-3_top.bin")));
}

}  // namespace
}  // namespace zhgpt::test
