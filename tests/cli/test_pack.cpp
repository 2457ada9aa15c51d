// Programs with a model inside: made by `zhgpt pack`, and by CMake.
#include <cstring>

#include "cli/journey.h"

namespace zhgpt::test {
namespace {

namespace fs = std::filesystem;

class PackJourney : public Journey {
 protected:
  void pack() const {
    train();
    const ProcessResult result = call({"pack", run(), "-o", poem()});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_TRUE(holds(result.out, poem() + " -p ")) << result.out;
  }
  std::string poem() const { return file("poem"); }
  ProcessResult call_poem(std::vector<std::string> arguments) const {
    return run_program({.arguments = std::move(arguments), .program = poem()});
  }
  std::size_t model_begin() const {  // the checkpoint's own magic
    const std::string magic(
        "\x89"
        "CGP\r\n\x1a\n",
        8);
    const std::string bytes = read_file(poem());
    for (std::size_t at = 0; at < bytes.size(); at += 4096) {
      if (bytes.compare(at, magic.size(), magic) == 0) return at;
    }
    ADD_FAILURE() << "no model inside";
    return 0;
  }
};

// S5-15
TEST_F(PackJourney, ThePackedProgramWritesWhatSampleWritesWithoutAnyOtherFile) {
  pack();
  const std::vector<std::string> flags = {"-p", "天", "-n", "40", "--seed", "5", "--device=cpu"};
  std::vector<std::string> sample = {"sample", run()};
  sample.insert(sample.end(), flags.begin(), flags.end());
  const ProcessResult expected = call(sample);
  fs::remove_all(run());
  const ProcessResult result = call_poem(flags);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, expected.out);
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(fs::status(poem()).permissions() & fs::perms::owner_all, fs::perms::owner_all);
}

// S5-15
TEST_F(PackJourney, ThePackedProgramIsASamplerAndNothingElse) {
  pack();
  const ProcessResult help = call_poem({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_TRUE(holds(help.out, "poem [OPTIONS]") && holds(help.out, "--temperature")) << help.out;
  EXPECT_FALSE(holds(help.out, "--from") || holds(help.out, "train")) << help.out;
  EXPECT_EQ(call_poem({"train", corpus()}).exit_code, 2);
  EXPECT_EQ(call_poem({"--temperature=x"}).exit_code, 2);
  EXPECT_EQ(call_poem({"--version"}).exit_code, 0);
}

// S5-16
TEST_F(PackJourney, AProgramAboveTheLimitIsRefusedWithItsSize) {
  train();
  const ProcessResult result = call({"pack", run(), "-o", poem(), "--max-mb=1"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_TRUE(holds(result.err, "--max-mb 1") && holds(result.err, " MB")) << result.err;
  EXPECT_FALSE(fs::exists(poem()));
}

// S5-27
TEST_F(PackJourney, AnExistingFileIsReplacedOnlyWhenAsked) {
  pack();
  const std::string before = read_file(poem());
  EXPECT_EQ(call({"pack", run("step_00000010.bin"), "-o", poem()}).exit_code, 5);
  EXPECT_TRUE(read_file(poem()) == before);
  EXPECT_EQ(call({"pack", run("step_00000010.bin"), "-o", poem(), "--overwrite"}).exit_code, 0);
  EXPECT_EQ(read_file(poem()).size(), before.size()) << "another model in its place, not one more";
  EXPECT_FALSE(read_file(poem()) == before);
  EXPECT_EQ(call_poem({"-p", "天", "-n", "5", "--device=cpu"}).exit_code, 0);
  EXPECT_EQ(call({"pack", run(), "-o", file("nowhere/poem")}).exit_code, 5);
  EXPECT_EQ(call({"pack", run()}).exit_code, 2);
  EXPECT_EQ(call({"pack", file("nothing"), "-o", file("x")}).exit_code, 5);
}

// S5-15, T1: whatever is missing at the end, and whatever bit of the model differs.
TEST_F(PackJourney, ADamagedModelInsideIsRefused) {
  pack();
  const std::string whole = read_file(poem());
  const std::size_t begin = model_begin(), size = whole.size() - begin;
  const auto refused = [&](const std::string& bytes, const std::string& what) {
    write_file(poem(), bytes);
    fs::permissions(poem(), fs::perms::owner_all);
    const ProcessResult result = call_poem({"-p", "天", "-n", "5", "--device=cpu"});
    EXPECT_EQ(result.exit_code, 4) << what << "\n" << result.err;
    EXPECT_EQ(result.out, "") << what;
  };
  for (int i = 0; i < 24; ++i) {
    const std::size_t at =
        begin + size * static_cast<std::size_t>(i) / 24 + static_cast<std::size_t>(i) * 7 % 40;
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (i % 8)));
    refused(flipped, "bit at " + std::to_string(at - begin) + " of the model");
  }
  for (const std::size_t left : {begin, begin + 1, begin + size / 2, whole.size() - 1}) {
    refused(whole.substr(0, left), "cut to " + std::to_string(left));
  }
  refused(whole + '\0', "a byte too many");
}

// S4-22
TEST_F(PackJourney, APartIsNotPacked) {
  const ProcessResult trained = call({"train", corpus(), "-o", run(), "--n-layer=3", "--n-head=2",
                                      "--n-embd=16", "--block-size=16", "--threads=1", "--max-iters=2"});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  ASSERT_EQ(call({"split", run(), "--at=1,2", "--out", file("models"), "--name=a"}).exit_code, 0);
  EXPECT_EQ(call({"pack", file("models/top/a_1-2_top.bin"), "-o", poem()}).exit_code, 4);
  EXPECT_FALSE(fs::exists(poem()));
}

// S5-14, S5-15, S5-17: examples/embedded.cpp, built by zhgpt_embed_model.
TEST_F(PackJourney, AModelEmbeddedByCMakeWritesWhatItsFileWritesAndUsesItsWeightsInPlace) {
  const ProcessResult expected =
      call({"sample", ZHGPT_EMBEDDED_MODEL, "-p", "天地", "-n", "40", "--greedy", "--device=cpu"});
  ASSERT_EQ(expected.exit_code, 0) << expected.err;
  const ProcessResult result = run_program({.arguments = {"天地"}, .program = ZHGPT_EMBEDDED_EXAMPLE});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, expected.out);
  EXPECT_TRUE(holds(result.err, "activations")) << result.err;
  EXPECT_FALSE(holds(result.err, "parameters")) << result.err;
}

}  // namespace
}  // namespace zhgpt::test
