// zhgpt convert from outside: formats, precision, several outputs, and what it refuses.
#include "cli/journey.h"

namespace zhgpt::test {
namespace {

// S1-9, S5-4: any format to any other, several at once, and back to the same bytes.
TEST_F(Journey, ConvertsToEveryFormatAndBackToTheSameBytes) {
  train();
  ASSERT_EQ(call({"convert", run(), "-o", file("a.bin"), "-o", file("new/a.JSON"), "-o", file("a.mpk"), "-o",
                  file("a.safetensors")})
                .exit_code,
            0);
  const std::string bytes = read_file(file("a.bin"));
  for (const char* name : {"new/a.JSON", "a.mpk", "a.safetensors"}) {
    const ProcessResult back = call({"convert", file(name), "-o", file("back.bin"), "--overwrite"});
    ASSERT_EQ(back.exit_code, 0) << back.err;
    EXPECT_EQ(read_file(file("back.bin")), bytes) << name;
    EXPECT_EQ(inspect(file(name))["state_hash"], inspect(run())["state_hash"]);
  }
}

// S2-21, S2-20, S1-77: a model for sampling alone is small, samples, and is not resumed.
TEST_F(Journey, AModelForInferenceSamplesButIsNotResumed) {
  train();
  ASSERT_EQ(call({"convert", run(), "-o", file("full.bin")}).exit_code, 0);
  const ProcessResult result =
      call({"convert", run(), "-o", file("half.safetensors"), "--inference-only", "--dtype", "f16"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto size = [&](const char* name) { return std::filesystem::file_size(file(name)); };
  EXPECT_LE(10 * size("half.safetensors"), 4 * size("full.bin"));
  EXPECT_EQ(call({"sample", file("half.safetensors"), "-n", "5"}).exit_code, 0);
  const ProcessResult resumed = call({"resume", file("half.safetensors")});
  EXPECT_EQ(resumed.exit_code, 4);
  EXPECT_TRUE(holds(resumed.err, "no optimizer state")) << resumed.err;
}

TEST_F(Journey, ConvertRefusesWhatMakesNoSenseAndWritesNothing) {
  train();
  const auto expect = [&](int code, const std::string& why, std::vector<std::string> more) {
    std::vector<std::string> arguments = {"convert", run()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProcessResult result = call(arguments);
    EXPECT_EQ(result.exit_code, code) << result.err;
    EXPECT_TRUE(holds(result.err, why)) << result.err;
    EXPECT_FALSE(std::filesystem::exists(file("x.bin")));
  };
  expect(2, "no output file", {});
  expect(2, "names no format", {"-o", file("x")});
  expect(2, "--format gguf", {"-o", file("x.bin"), "--format", "gguf"});
  expect(2, "int8", {"-o", file("x.bin"), "--dtype", "int8"});
  expect(2, "round a training state", {"-o", file("x.bin"), "--dtype", "bf16"});
  expect(2, "regular expression", {"-o", file("x.bin"), "--include", "("});
  expect(2, "FROM=TO", {"-o", file("x.bin"), "--rename", "abc"});
  expect(4, "missing (1): wpe.weight", {"-o", file("x.bin"), "--exclude", "wpe"});
  expect(5, "already exists", {"-o", run("config.toml"), "--format", "json"});
  EXPECT_EQ(call({"convert", file("none"), "-o", file("x.bin")}).exit_code, 5);
  damage(run("step_00000030.bin"));
  EXPECT_EQ(call({"convert", run("step_00000030.bin"), "-o", file("x.bin")}).exit_code, 4);
}

TEST_F(Journey, APartialConversionSaysWhatIsMissing) {
  train();
  const ProcessResult result = call({"convert", run(), "-o", file("x.bin"), "--exclude", "wpe", "--partial"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(holds(result.err, "missing (1): wpe.weight")) << result.err;
  EXPECT_EQ(call({"sample", file("x.bin"), "-n", "5"}).exit_code, 0);
}

}  // namespace
}  // namespace zhgpt::test
