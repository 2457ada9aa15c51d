// zhgpt ckpt and zhgpt resume-check as a user meets them.
#include <regex>
#include <sstream>

#include "cli/journey.h"

namespace zhgpt::test {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

class Ckpt : public Journey {
 protected:
  Ckpt() { train(); }
  // The names that `ckpt ls` tells, with what it tells of each.
  std::map<std::string, Json> list() const {
    std::map<std::string, Json> found;
    const ProcessResult result = call({"ckpt", "ls", run(), "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const Json listed = Json::parse(result.out);
    for (const Json& entry : listed["checkpoints"]) found[entry["name"]] = entry;
    return found;
  }
};

// S1-41, S4-17, S4-32
TEST_F(Ckpt, LsShowsEachCheckpointVerified) {
  damage(run("step_00000010.bin"));
  const ProcessResult result = call({"ckpt", "ls", run()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const std::vector<std::string> rows = lines(result.out);
  ASSERT_EQ(rows.size(), 5u) << result.out;
  EXPECT_TRUE(std::regex_search(rows[1], std::regex("^step_00000010.bin +10 .*DAMAGED$"))) << rows[1];
  EXPECT_TRUE(std::regex_search(rows[2], std::regex("^step_00000020.bin +20 .*whole$"))) << rows[2];
  EXPECT_TRUE(std::regex_search(rows[3], std::regex("^step_00000030.bin +30 .*whole +latest, best$")))
      << rows[3];
  EXPECT_TRUE(holds(rows[4], "3 checkpoint(s), "));

  const std::map<std::string, Json> entries = list();
  EXPECT_EQ(entries.size(), 3u);
  EXPECT_FALSE(entries.at("step_00000010.bin")["whole"]);
  EXPECT_EQ(entries.at("step_00000030.bin")["bytes"], fs::file_size(run("step_00000030.bin")));
  EXPECT_EQ(entries.at("step_00000030.bin")["val_loss"], inspect(run())["progress"]["last_val_loss"]);
  EXPECT_TRUE(entries.at("step_00000020.bin")["val_loss"].is_null());
  EXPECT_EQ(call({"ckpt", "ls", file("nowhere")}).exit_code, 5);
}

// S1-41: Han characters are two columns wide
TEST_F(Ckpt, TheTableIsAlignedByWhatIsSeen) {
  ASSERT_EQ(call({"ckpt", "tag", run(), "初版"}).exit_code, 0);
  const std::vector<std::string> rows = lines(call({"ckpt", "ls", run()}).out);
  std::vector<std::size_t> columns;
  for (const std::string& row : rows) {
    // Each of 初版 takes 3 bytes and 2 columns, the dash for no loss 3 bytes and 1 column.
    const std::size_t at = row.find(" whole"), wide = holds(row, "初版") ? 2 : 0, dash = holds(row, "–") ? 2 : 0;
    if (at != std::string::npos) columns.push_back(at - wide - dash);
  }
  ASSERT_EQ(columns.size(), 4u);
  for (const std::size_t column : columns) EXPECT_EQ(column, columns[0]);
}

// S2-29, S2-30, S5-24
TEST_F(Ckpt, VerifyTellsWholeFromDamaged) {
  const ProcessResult good = call({"ckpt", "verify", run()});
  EXPECT_EQ(good.exit_code, 0);
  EXPECT_EQ(lines(good.out).size(), 3u);
  EXPECT_TRUE(holds(call({"ckpt", "verify", run("step_00000010.bin"), "--lang", "zh"}).out, "检查点有效"));

  damage(run("step_00000020.bin"));
  const ProcessResult bad = call({"ckpt", "verify", run("step_00000010.bin"), run("step_00000020.bin")});
  EXPECT_EQ(bad.exit_code, 4);
  EXPECT_TRUE(holds(bad.out, "step_00000010.bin: the checkpoint is valid")) << bad.out;
  EXPECT_TRUE(std::regex_search(bad.out, std::regex("step_00000020.bin: byte [0-9]+:"))) << bad.out;
  EXPECT_EQ(call({"ckpt", "verify", run()}).exit_code, 4);
  EXPECT_EQ(call({"ckpt", "verify", file("nowhere.bin")}).exit_code, 4);
  EXPECT_EQ(
      call({"ckpt", "verify", fs::path(corpus()).parent_path().string() + "/run/metrics.jsonl"}).exit_code,
      4);
}

// S5-29
TEST_F(Ckpt, InspectIsTheSameVerbAndListsKeys) {
  const ProcessResult keys = call({"ckpt", "inspect", run(), "--keys", "--json"});
  EXPECT_EQ(keys.exit_code, 0) << keys.err;
  const Json tensors = Json::parse(keys.out), all = inspect(run())["tensors"];
  ASSERT_EQ(tensors.size(), all.size());
  double ones = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (const char* key : {"name", "kind", "dtype", "shape"}) EXPECT_EQ(tensors[i][key], all[i][key]);
    EXPECT_GE(tensors[i]["norm"], 0);
    if (tensors[i]["name"] == "ln_f.weight" && tensors[i]["kind"] == "parameter") ones = tensors[i]["norm"];
  }
  EXPECT_NEAR(ones, 4, 0.5) << "sixteen weights that began as ones";
  EXPECT_EQ(call({"ckpt", "inspect", run(), "--json"}).out, call({"inspect", run(), "--json"}).out);
  EXPECT_EQ(lines(call({"inspect", run(), "--keys"}).out).size(), all.size() + 1);
}

// S5-29
TEST_F(Ckpt, DiffSaysWhatChangedAndExitsSo) {
  const std::string a = run("step_00000010.bin"), b = run("step_00000020.bin");
  const ProcessResult same = call({"ckpt", "diff", a, a});
  EXPECT_EQ(same.exit_code, 0) << same.err;
  EXPECT_TRUE(holds(same.out, "hold the same"));
  const ProcessResult other = call({"ckpt", "diff", a, b});
  EXPECT_EQ(other.exit_code, 1) << other.err;
  for (const char* part : {"progress", "train_loss", "wte.weight", "0 of "})
    EXPECT_TRUE(holds(other.out, part)) << part;
  const Json json = Json::parse(call({"ckpt", "diff", a, b, "--json"}).out);
  EXPECT_EQ(json["equal"], false);
  EXPECT_EQ(json["step"], Json({10, 20}));
  EXPECT_EQ(json["progress"]["updates"], Json({"10", "20"}));
  EXPECT_TRUE(json["config"].empty());
  EXPECT_EQ(json["tensors"].size(), inspect(run())["tensors"].size());
  EXPECT_EQ(call({"ckpt", "diff", a}).exit_code, 2);
  EXPECT_EQ(call({"ckpt", "diff", a, file("nowhere.bin")}).exit_code, 5);
}

TEST_F(Ckpt, PruneRemovesOldCheckpointsAndTheirSummaries) {
  fs::copy_file(run("step_00000010.bin"), run("mine.bin"));
  write_file(run("step_00000020.json"), "{\"format\": \"other\"}");
  const auto before = contents(run());
  const ProcessResult dry = call({"ckpt", "prune", run(), "--keep-last", "1", "--dry-run"});
  EXPECT_EQ(dry.exit_code, 0) << dry.err;
  EXPECT_TRUE(holds(dry.out, "would remove " + run("step_00000010.bin"))) << dry.out;
  EXPECT_EQ(changes(before, run()), std::vector<std::string>());

  const ProcessResult done = call({"ckpt", "prune", run(), "--keep-last", "1"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(changes(before, run()),
            (std::vector<std::string>{"step_00000010.bin", "step_00000010.json", "step_00000020.bin"}));
  EXPECT_TRUE(holds(done.out, "3 file(s) removed")) << done.out;
  EXPECT_EQ(call({"resume", run(), "--max-iters", "40"}).exit_code, 0);
}

TEST_F(Ckpt, PruneRemovesWhatWasSetAsideWithItsSummary) {
  for (const char* name : {"step_00000010.bin", "step_00000010.json"}) fs::rename(run(name), run(name) + ".old");
  const auto before = contents(run());
  EXPECT_EQ(call({"ckpt", "prune", run()}).exit_code, 0);
  EXPECT_EQ(changes(before, run()),
            (std::vector<std::string>{"step_00000010.bin.old", "step_00000010.json.old"}));
}

// S4-33: what best names stays, though it is old and without a loss
TEST_F(Ckpt, PruneNeverRemovesTheBestOrTheLatest) {
  write_file(run("best"), "step_00000010.bin\n");
  write_file(run("latest"), "step_00000020.bin\n");
  const auto before = contents(run());
  EXPECT_EQ(call({"ckpt", "prune", run(), "--keep-last", "1", "--keep-best", "0"}).exit_code, 0);
  EXPECT_EQ(changes(before, run()), std::vector<std::string>());
}

TEST_F(Ckpt, PruneOfARunThatIsGoingOnIsRefused) {
  Process training(this->training(file("other"), 1'000'000, {"--save-interval=10"}));
  ASSERT_TRUE(training.wait_for_file(file("other/latest")));
  EXPECT_EQ(call({"ckpt", "prune", file("other")}).exit_code, 8);
  training.send(SIGTERM);
  EXPECT_EQ(training.wait().exit_code, 128 + SIGTERM);
}

// S2-22, S2-23, S2-24, S2-26
TEST_F(Ckpt, TagKeepsANamedVersionThatFromFinds) {
  const ProcessResult tagged = call({"ckpt", "tag", run("step_00000010.bin"), "初版"});
  EXPECT_EQ(tagged.exit_code, 0) << tagged.err;
  EXPECT_EQ(read_file(run("versions/初版.bin")), read_file(run("step_00000010.bin")));
  EXPECT_EQ(Json::parse(call({"inspect", run(), "--from", "v:初版", "--json"}).out)["step"], 10);
  EXPECT_EQ(Json::parse(call({"inspect", run(), "--from", "v:latest", "--json"}).out)["step"], 10);
  const ProcessResult unknown = call({"inspect", run(), "--from", "v:second"});
  EXPECT_EQ(unknown.exit_code, 4);
  EXPECT_TRUE(holds(unknown.err, "Versions there: 初版")) << unknown.err;

  const auto before = contents(run());
  EXPECT_EQ(call({"ckpt", "tag", run(), "初版"}).exit_code, 2);
  EXPECT_EQ(call({"ckpt", "tag", run(), "a/b"}).exit_code, 2);
  EXPECT_EQ(call({"ckpt", "tag", run(), ".a", "--force"}).exit_code, 2);
  EXPECT_EQ(changes(before, run()), std::vector<std::string>());
  EXPECT_EQ(call({"ckpt", "tag", run(), "初版", "--force"}).exit_code, 0);
  EXPECT_EQ(Json::parse(call({"inspect", run(), "--from", "v:初版", "--json"}).out)["step"], 30);

  EXPECT_EQ(call({"ckpt", "tag", run()}).exit_code, 0);
  std::int64_t by_time = 0;
  for (const auto& [name, entry] : list())
    by_time += std::regex_match(name, std::regex("versions/v_[0-9]{8}_[0-9]{6}\\.bin"));
  EXPECT_EQ(by_time, 1);
}

// S2-19, S2-20, S2-21
TEST_F(Ckpt, ADeployedFileSamplesAndCannotBeResumed) {
  const ProcessResult tagged = call({"ckpt", "tag", run(), "v1", "--deploy"});
  EXPECT_EQ(tagged.exit_code, 0) << tagged.err;
  const std::string deployed = run("deployed/v1.bin");
  EXPECT_LE(static_cast<double>(fs::file_size(deployed)),
            0.4 * static_cast<double>(fs::file_size(run("step_00000030.bin"))));
  const std::vector<std::string> how = {"-p", "天", "-n", "20", "--seed", "7"};
  const auto sample = [&](const std::string& path) {
    std::vector<std::string> arguments = {"sample", path};
    arguments.insert(arguments.end(), how.begin(), how.end());
    return call(arguments).out;
  };
  EXPECT_EQ(sample(deployed), sample(run()));
  EXPECT_NE(sample(deployed), "");

  const auto before = contents(run());
  const ProcessResult resumed = call({"resume", deployed, "--max-iters", "40"});
  EXPECT_EQ(resumed.exit_code, 4);
  EXPECT_TRUE(holds(resumed.err, "cannot be resumed")) << resumed.err;
  EXPECT_EQ(changes(before, run()), std::vector<std::string>());
  EXPECT_TRUE(list().at("deployed/v1.bin")["inference_only"]);
}

TEST_F(Ckpt, ExtendedAModelGoesOnWithTheNewText) {
  std::string text;
  for (int i = 0; i < 20; ++i) text += "龘靐齉龘靐龘";
  write_file(file("new.txt"), text);
  const std::string grown = file("grown/start.bin");
  const ProcessResult extended = call({"ckpt", "extend", run(), "--corpus", file("new.txt"), "-o", grown});
  EXPECT_EQ(extended.exit_code, 0) << extended.err;
  EXPECT_TRUE(holds(extended.out, "new: 龘靐齉\n")) << extended.out;
  const std::int64_t size = inspect(run())["vocab_size"];
  EXPECT_EQ(inspect(grown)["vocab_size"], size + 3);
  EXPECT_EQ(inspect(grown)["config"]["vocab_size"], size + 3);
  EXPECT_EQ(inspect(grown)["progress"]["parent"], inspect(run())["state_hash"]);

  EXPECT_EQ(call({"ckpt", "extend", run(), "--corpus", file("new.txt"), "-o", grown}).exit_code, 5);
  EXPECT_EQ(
      call({"ckpt", "extend", run(), "--corpus", file("new.txt"), "-o", grown, "--overwrite"}).exit_code, 0);
  const ProcessResult resumed =
      call({"resume", grown, "--corpus", file("new.txt"), "--corpus-changed", "--max-iters", "40"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(inspect(file("grown"))["step"], 40);
  EXPECT_EQ(inspect(file("grown"))["vocab_size"], size + 3);
  const ProcessResult sampled = call({"sample", file("grown"), "-p", "龘", "-n", "5"});
  EXPECT_FALSE(holds(sampled.err, "never seen")) << sampled.err;

  const ProcessResult again =
      call({"ckpt", "extend", grown, "--corpus", file("new.txt"), "-o", file("more.bin")});
  EXPECT_EQ(again.exit_code, 3);
  EXPECT_FALSE(fs::exists(file("more.bin")));
}

TEST_F(Ckpt, LogFollowsParents) {
  write_file(file("new.txt"), "龘靐齉\n");
  ASSERT_EQ(
      call({"ckpt", "extend", run("step_00000020.bin"), "--corpus", file("new.txt"), "-o", run("grown.bin")})
          .exit_code,
      0);
  const Json line = Json::parse(call({"ckpt", "log", run("grown.bin"), "--json"}).out);
  ASSERT_EQ(line.size(), 2u);
  EXPECT_EQ(line[0]["name"], "grown.bin");
  EXPECT_EQ(line[1]["name"], "step_00000020.bin");
  EXPECT_EQ(line[1]["state_hash"], line[0]["parent"]);
  EXPECT_EQ(line[1]["corpus"], inspect(run())["progress"]["corpus_fingerprint"]);

  const std::string hash = line[1]["state_hash"];
  fs::remove(run("step_00000020.bin"));
  const ProcessResult missing = call({"ckpt", "log", run("grown.bin")});
  EXPECT_EQ(missing.exit_code, 0) << missing.err;
  EXPECT_TRUE(holds(missing.out, "Before that: state " + hash)) << missing.out;
  EXPECT_EQ(Json::parse(call({"ckpt", "log", run(), "--json"}).out)[0]["name"], "step_00000030.bin");
  EXPECT_EQ(call({"ckpt", "log", run("config.toml")}).exit_code, 4);
}

// T11: on the user's own machine
TEST_F(Ckpt, ResumeCheckProvesARunWithoutTouchingIt) {
  const auto before = contents(fs::path(run()).parent_path());
  const ProcessResult of_run = call({"resume-check", run(), "--at", "3", "--steps", "7"});
  EXPECT_EQ(of_run.exit_code, 0) << of_run.err << of_run.out;
  EXPECT_TRUE(holds(of_run.out, "all 7 steps")) << of_run.out;
  EXPECT_EQ(changes(before, fs::path(run()).parent_path()), std::vector<std::string>());

  const ProcessResult of_text = call({"resume-check", corpus(), "--at", "2", "--steps", "4", "--n-layer=1",
                                      "--n-embd=16", "--block-size=16", "--dropout=0.1", "--threads=2"});
  EXPECT_EQ(of_text.exit_code, 0) << of_text.err << of_text.out;
  EXPECT_EQ(lines(of_text.out).size(), 1u + 4 + 1 + 1) << of_text.out;
  EXPECT_EQ(changes(before, fs::path(run()).parent_path()), std::vector<std::string>());

  EXPECT_EQ(call({"resume-check", run(), "--at", "7", "--steps", "7"}).exit_code, 2);
  const ProcessResult text = call({"resume-check", run(), "--normalize", "none"});
  EXPECT_EQ(text.exit_code, 2);
  EXPECT_TRUE(holds(text.err, "normalize: the text of ")) << text.err;
}

}  // namespace
}  // namespace zhgpt::test
