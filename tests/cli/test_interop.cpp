// zhgpt import and zhgpt export from outside: there and back, what they say, and what they refuse.
#include "cli/journey.h"

namespace zhgpt::test {
namespace {

class Interop : public Journey {};

// S5-36, S2-33
TEST_F(Interop, ThereAndBackTheModelSaysTheSame) {
  train();
  const std::vector<std::string> asked = {"--greedy", "--no-interactive", "-p", "天", "-n", "12"};
  const auto sample = [&](const std::string& path) {
    std::vector<std::string> arguments = {"sample", path};
    arguments.insert(arguments.end(), asked.begin(), asked.end());
    const ProcessResult result = call(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  };
  const std::string expected = sample(run());
  ASSERT_NE(expected, "");

  ProcessResult result = call({"export", run(), "-o", file("hf")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  result = call({"import", file("hf"), "-o", file("hf.bin"), "--lang", "zh"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(holds(result.err, "已转换 ")) << result.err;
  EXPECT_EQ(sample(file("hf.bin")), expected);

  result = call({"export", run(), "-o", file("llmc.bin"), "--format", "llmc"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  result = call({"import", file("llmc.bin"), "-o", file("back.bin"), "--vocab", run("vocab.json")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(sample(file("back.bin")), expected);

  const Json original = inspect(run()), back = inspect(file("hf.bin"));
  EXPECT_EQ(back["vocab_size"], original["vocab_size"]);
  EXPECT_EQ(back["config"]["n_embd"], 16);
  EXPECT_EQ(call({"resume", file("hf.bin")}).exit_code, 4) << "there is nothing to go on from";
}

TEST_F(Interop, WhatIsThereIsLeftUnlessAskedFor) {
  train();
  write_file(file("m.gguf"), "mine");
  EXPECT_EQ(call({"export", run(), "-o", file("m.gguf"), "--format", "gguf"}).exit_code, 5);
  EXPECT_EQ(read_file(file("m.gguf")), "mine");
  EXPECT_EQ(call({"export", run(), "-o", file("m.gguf"), "--format", "gguf", "--dtype", "f16", "--overwrite"})
                .exit_code,
            0);
  EXPECT_TRUE(read_file(file("m.gguf")).starts_with("GGUF"));
  ASSERT_EQ(call({"export", run(), "-o", file("hf")}).exit_code, 0);
  EXPECT_EQ(call({"export", run(), "-o", file("hf")}).exit_code, 5);
  ASSERT_EQ(call({"import", file("hf"), "-o", file("a.bin")}).exit_code, 0);
  EXPECT_EQ(call({"import", file("hf"), "-o", file("a.bin")}).exit_code, 5);
  EXPECT_EQ(call({"import", file("hf"), "-o", file("a.bin"), "--overwrite"}).exit_code, 0);
}

TEST_F(Interop, MisuseIsExplained) {
  train();
  const struct {
    std::vector<std::string> arguments;
    int exit_code;
    const char* says;
  } cases[] = {{{"import"}, 2, "zhgpt import DIR -o model.bin"},
               {{"import", "x"}, 2, "Name it with -o"},
               {{"import", file("none"), "-o", file("o.bin")}, 5, "no such file"},
               {{"import", corpus(), "-o", file("o.bin")}, 4, "neither a Hugging Face directory"},
               {{"import", run(), "-o", file("o.bin")}, 4, "no config.json"},
               {{"export"}, 2, "zhgpt export DIR -o model-hf"},
               {{"export", run()}, 2, "Name it with -o"},
               {{"export", file("none"), "-o", file("o")}, 5, "none"},
               {{"export", run(), "-o", file("o"), "--format", "onnx"}, 2, "hf|gguf|llmc"},
               {{"export", run(), "-o", file("o"), "--dtype", "q8"}, 2, "f32|f16"},
               {{"export", run(), "-o", file("o"), "--dtype", "f16"}, 2, "--format gguf only"}};
  for (const auto& [arguments, exit_code, says] : cases) {
    const ProcessResult result = call(arguments);
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    EXPECT_TRUE(holds(result.err, says)) << result.err;
  }
  EXPECT_FALSE(std::filesystem::exists(file("o")) || std::filesystem::exists(file("o.bin")));
}

}  // namespace
}  // namespace zhgpt::test
