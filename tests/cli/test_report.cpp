// `zhgpt eval` and `zhgpt report` on runs of every kind: whole, without validation, interrupted, no run at
// all; and the measures on a model that knows its corpus by heart, and on one that knows nothing.
#include <cmath>

#include "cli/journey.h"
#include "cli/loaded_model.h"
#include "cli/writer.h"
#include "report/measures.h"
#include "zhgpt/sampler.h"

namespace zhgpt::test {
namespace {

namespace fs = std::filesystem;

class Report : public Journey {
 protected:
  ProcessResult report(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments{"report", run(), "--num-samples=3", "--threads=1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return call(arguments);
  }
  std::string page() const { return read_file(run("report.html")); }
};

TEST_F(Report, ShowsTheRunAndIsTheSameEachTime) {
  train();
  const ProcessResult result = report();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(holds(result.err, run("report.html"))) << result.err;
  const std::string first = page();
  for (const char* part : {"Did it learn?", "step 30", "bigram", "step_00000010.bin", "n_embd"})
    EXPECT_TRUE(holds(first, part)) << part;
  EXPECT_EQ(report().exit_code, 0) << "its own page may be replaced";
  EXPECT_EQ(page(), first);

  EXPECT_EQ(report({"--lang=zh", "-o", file("页.html")}).exit_code, 0);
  EXPECT_TRUE(holds(read_file(file("页.html")), "学会了吗？"));
}

// More than are written at once.
TEST_F(Report, ItsTextsAreThoseThatEachIsAlone) {
  train();
  ASSERT_EQ(call({"report", run(), "--num-samples=20", "--threads=1"}).exit_code, 0);
  cli::LoadedModel loaded(run(), fs::exists(run("best")) ? "best" : "last", "cpu", 1, 1);
  Generator generator(*loaded.model);
  const std::string shown = page();
  std::size_t at = 0;
  for (std::uint64_t n = 0; n < 20; ++n) {
    cli::WriteRequest request;
    request.sample = n;
    request.max_characters = 200;
    request.options.seed = static_cast<std::uint64_t>(loaded.config.train.seed);
    generator.start({}, n);
    const std::string text = cli::write_text(loaded.vocab, generator, request, [](std::string_view) {}).text;
    at = shown.find(">" + text + "<", at + 1);
    ASSERT_NE(at, std::string::npos) << n << ": " << text;
  }
}

TEST_F(Report, ReplacesNothingThatItDidNotWrite) {
  train();
  write_file(file("mine.html"), "<html>mine</html>");
  const ProcessResult result = report({"-o", file("mine.html")});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_TRUE(holds(result.err, "mine.html")) << result.err;
  EXPECT_EQ(read_file(file("mine.html")), "<html>mine</html>");
}

TEST_F(Report, WithoutValidationItSaysSo) {
  ASSERT_EQ(run_program(training(run(), 30, {"--val-fraction=0"})).exit_code, 0);
  ASSERT_EQ(report().exit_code, 0);
  EXPECT_TRUE(holds(page(), "set no validation text aside"));
  EXPECT_TRUE(holds(page(), "training text"));
  const ProcessResult eval = call({"eval", run()});
  EXPECT_EQ(eval.exit_code, 3);
  EXPECT_TRUE(holds(eval.err, "zhgpt eval " + run() + " CORPUS")) << eval.err;
}

TEST_F(Report, OfARunThatWasKilledWhileItWrote) {
  train();
  for (const char* name : {"step_00000020.bin", "step_00000030.bin"}) damage(run(name));
  write_file(run("metrics.jsonl"), read_file(run("metrics.jsonl")) + "{\"step\":31,\"ep");
  fs::remove(run("best"));
  const ProcessResult result = report();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(holds(page(), "step_00000010.bin"));
  EXPECT_FALSE(holds(page(), "step_00000020.bin"));
  EXPECT_TRUE(holds(page(), "could not be read"));

  fs::remove(run("corpus.tokens"));  // what needs the text is left out
  EXPECT_EQ(report().exit_code, 0);
  EXPECT_TRUE(holds(page(), "training text is not at hand"));
}

TEST_F(Report, OfARunBeforeItsFirstCheckpoint) {
  fs::create_directories(run());
  write_file(run("metrics.jsonl"), R"({"step":1,"epoch":0,"loss":8,"lr":0.1,"grad_norm":1,"chars_per_s":9})"
                                   "\n");
  ASSERT_EQ(report().exit_code, 0);
  EXPECT_TRUE(holds(page(), "no whole checkpoint in this directory"));
}

TEST_F(Report, OfWhatIsNoRun) {
  fs::create_directories(file("empty"));
  const ProcessResult empty = call({"report", file("empty")});
  EXPECT_EQ(empty.exit_code, 4);
  EXPECT_TRUE(holds(empty.err, "holds no run")) << empty.err;
  EXPECT_EQ(contents(file("empty")).size(), 0u);
  EXPECT_EQ(call({"report", corpus()}).exit_code, 4);
  EXPECT_EQ(call({"report", file("nowhere")}).exit_code, 5);
  EXPECT_EQ(call({"report"}).exit_code, 2);
}

TEST_F(Report, HugeLogsGiveASmallPage) {
  fs::create_directories(run());
  std::string metrics;
  for (int i = 1; i <= 100'000; ++i) {
    metrics += "{\"step\":" + std::to_string(i) + ",\"epoch\":1,\"loss\":" + std::to_string(i % 97) +
               ",\"lr\":0.1,\"grad_norm\":1,\"chars_per_s\":9}\n";
  }
  write_file(run("metrics.jsonl"), metrics);
  ASSERT_EQ(report().exit_code, 0);
  EXPECT_LT(page().size(), 100'000u);
}

TEST_F(Report, EvalWithoutATextTakesTheRunsOwn) {
  train();
  const ProcessResult result = call({"eval", run(), "--json", "--worst=2"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_GT(json["characters"], 20);
  EXPECT_GT(json["baselines_read"], json["characters"]);
  const Json& bits = json["bits_per_character"];
  for (const char* row : {"model", "uniform", "unigram", "bigram", "five_gram", "xz"})
    EXPECT_GT(bits[row], 0) << row;
  EXPECT_NEAR(bits["model"].get<double>() * std::log(2), json["loss"], 1e-9);
  EXPECT_LE(json["accuracy_1"], json["accuracy_5"]);
  ASSERT_EQ(json["worst"].size(), 2u);
  EXPECT_GE(json["worst"][0]["bits_per_character"], json["worst"][1]["bits_per_character"]);

  const ProcessResult text = call({"eval", run()});
  for (const char* part : {"5-gram", "five likeliest"}) EXPECT_TRUE(holds(text.out, part)) << text.out;
  EXPECT_FALSE(holds(text.out, "Hardest"));
  EXPECT_TRUE(holds(text.err, "first read the")) << text.err;
}

TEST_F(Report, TheHardestDocumentIsTheOneThatWasMadeHard) {
  train();
  std::string records;
  for (const char* text : {"，。，。，。，。，。", "辰宿列张辰宿列张辰宿", "日月，盈昃。辰宿，列。"})
    records += Json{{"text", text}}.dump() + "\n";
  write_file(file("text.jsonl"), records);
  const ProcessResult result = call({"eval", run(), file("text.jsonl"), "--json", "--worst=9"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  ASSERT_EQ(json["worst"].size(), 3u);
  double bits = 0;
  std::int64_t characters = 0;
  for (const Json& document : json["worst"]) {
    characters += document["characters"].get<std::int64_t>();
    bits += document["bits_per_character"].get<double>() * document["characters"].get<double>();
  }
  EXPECT_EQ(characters, json["characters"]);
  EXPECT_NEAR(bits / static_cast<double>(characters), json["bits_per_character"]["model"], 1e-9);
  // After 30 steps the model knows which characters are frequent, and no more.
  EXPECT_EQ(json["worst"][0]["characters"], 11) << "ten, and the end";
  EXPECT_EQ(json["worst"][0]["begins"], "辰宿列张辰宿列张辰宿") << json["worst"].dump();
  EXPECT_EQ(json["worst"][2]["characters"], 10) << "the very first is not predicted";
  EXPECT_EQ(json["worst"][2]["begins"], "，。，。，。，。，。") << json["worst"].dump();
}

// How much of 10 texts of 60 characters the corpus holds word for word.
Copying copied_by(const std::string& run_directory) {
  cli::LoadedModel loaded(run_directory, "last", "cpu", 1, 1);
  const std::optional<Dataset> text = cli::dataset_beside(loaded.checkpoint);
  Generator generator(*loaded.model);
  std::vector<std::vector<std::int32_t>> texts(10);
  for (std::size_t n = 0; n < texts.size(); ++n) {
    generator.start({}, n);
    while (texts[n].size() < 60) {
      const std::int32_t id = generator.next({});
      if (id == kEndOfTextId) break;
      texts[n].push_back(id);
    }
  }
  return measure_copying(texts, text->train);
}

TEST_F(Report, WhatIsKnownByHeartIsCopiedAndWhatIsRandomIsNot) {
  const std::string text = read_file(corpus());
  write_file(corpus(), text.substr(0, text.find("《静夜思》")));  // four pieces of 千字文, 44 characters each
  const auto train_for = [&](const std::string& name, std::int64_t steps, const char* rate) {
    const ProcessResult result =
        call({"train", corpus(), "-o", file(name), "--n-layer=2", "--n-head=2", "--n-embd=64",
              "--block-size=64", "--batch-size=4", "--threads=1", "--val-fraction=0", "--warmup-iters=10",
              "--learning-rate", rate, "--max-iters", std::to_string(steps)});
    ASSERT_EQ(result.exit_code, 0) << result.err;
  };
  train_for("by_heart", 300, "3e-3");
  const Copying by_heart = copied_by(file("by_heart"));
  ASSERT_GT(by_heart.pieces[1], 100);
  EXPECT_GT(by_heart.rate(0), 0.97);
  EXPECT_GT(by_heart.rate(1), 0.95);
  EXPECT_GT(by_heart.longest, 40);

  train_for("random", 1, "1e-9");
  const Copying random = copied_by(file("random"));
  ASSERT_GT(random.pieces[1], 100);
  EXPECT_EQ(random.copied[0], 0);
  EXPECT_LE(random.longest, 4);
}

}  // namespace
}  // namespace zhgpt::test
