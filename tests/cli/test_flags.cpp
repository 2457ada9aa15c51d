// The flag zoo: what is refused before anything is touched, with which exit code and which words.
#include <gtest/gtest.h>

#include <ostream>

#include "cli/process.h"

namespace zhgpt::test {
namespace {

struct Refusal {
  const char* name;
  std::vector<std::string> arguments;  // CORPUS stands for a small text, CONFIG for a file with `config`
  std::string says;                    // a part of what stderr holds
  int exit_code = 2;
  std::map<std::string, std::string> environment = {};
  std::string config = "";
};

void PrintTo(const Refusal& refusal, std::ostream* out) {
  *out << refusal.name;
}

class Refused : public testing::TestWithParam<Refusal> {};

TEST_P(Refused, ExitsWithItsCodeAndCreatesNothing) {
  const Refusal& refusal = GetParam();
  TempDirectory settings, work;
  Invocation invocation{.arguments = refusal.arguments, .environment = refusal.environment};
  invocation.directory = work.path().string();
  for (std::string& argument : invocation.arguments) {
    if (argument == "CORPUS") argument = sample_corpus();
    if (argument == "CONFIG") argument = settings.file("c.toml");
  }
  write_file(settings.file("c.toml"), refusal.config);

  const ProcessResult result = run_program(invocation);
  EXPECT_EQ(result.exit_code, refusal.exit_code) << result.err;
  EXPECT_NE(result.err.find(refusal.says), std::string::npos) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(contents(work.path()).empty()) << contents(work.path()).begin()->first;
}

Refusal train_flag(const char* name, std::vector<std::string> flags, std::string says, int exit_code = 2) {
  flags.insert(flags.begin(), {"train", "CORPUS"});
  return {name, std::move(flags), std::move(says), exit_code};
}

Refusal train_config(const char* name, std::string config, std::string says) {
  return {name, {"train", "CORPUS", "--config", "CONFIG"}, std::move(says), 2, {}, std::move(config)};
}

Refusal train_environment(const char* name, const char* variable, const char* value, std::string says) {
  return {name, {"train", "CORPUS"}, std::move(says), 2, {{variable, value}}};
}

std::string test_name(const testing::TestParamInfo<Refusal>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(
    Usage, Refused,
    testing::Values(
        Refusal{"Nothing", {}, "train"},  //
        Refusal{"OnlyDashes", {"--"}, "train"},
        Refusal{"UnknownVerb", {"trian", "CORPUS"}, "Unknown argument: trian. Did you mean train?"},
        Refusal{"UnknownVerbFarFromAll", {"quux"}, "Unknown argument: quux"},
        Refusal{"EmptyVerb", {""}, "Unknown argument"},
        Refusal{"UnknownGlobalFlag", {"--verbos"}, "--verbos"},
        Refusal{"UnknownLanguage", {"doctor", "--lang", "fr"}, "lang = \"fr\" is not one of zh|en"},
        Refusal{"ExtraArgumentOfDoctor", {"doctor", "now"}, "Unknown argument: now"},
        Refusal{"TrainWithoutCorpus", {"train"}, "No corpus was given"},
        Refusal{"TrainWithoutCorpusAfterDashes", {"train", "--"}, "No corpus was given"},
        Refusal{"ResumeWithoutRun", {"resume"}, "zhgpt resume out"},
        Refusal{"SampleWithoutRun", {"sample"}, "zhgpt sample out"},
        Refusal{"EvalWithoutRun", {"eval"}, "zhgpt eval out"},
        Refusal{"ReportWithoutRun", {"report"}, "zhgpt report out"},
        Refusal{"InspectWithoutRun", {"inspect"}, "zhgpt inspect out"},
        Refusal{"ResumeOfNothing", {"resume", "nowhere"}, "nowhere", 5},
        Refusal{"SampleOfNothing", {"sample", "nowhere", "-p", "天"}, "nowhere", 5},
        Refusal{"EvalOfNothing", {"eval", "nowhere", "CORPUS"}, "nowhere", 5},
        Refusal{"InspectOfNothing", {"inspect", "nowhere"}, "nowhere", 5},
        Refusal{"ResumeCannotChangeTheModel", {"resume", "nowhere", "--n-layer", "2"}, "--n-layer"},
        Refusal{"ResumeCannotChangeTheOrder", {"resume", "nowhere", "--seed", "2"}, "--seed"},
        Refusal{"SampleThreads", {"sample", "nowhere", "--threads", "-1"}, "--threads"},
        Refusal{"SampleNoCharacters", {"sample", "nowhere", "-n", "0"}, "--max-chars"},
        Refusal{"SampleNoSamples", {"sample", "nowhere", "--num-samples", "0"}, "--num-samples"},
        Refusal{"SampleTemperatureNaN", {"sample", "nowhere", "--temperature", "nan"}, "temperature"},
        Refusal{"SampleTemperatureNegative", {"sample", "nowhere", "--temperature", "-1"}, "temperature"},
        Refusal{"SampleTopKWord", {"sample", "nowhere", "--top-k", "many"}, "--top-k"},
        Refusal{"SampleTopPAboveOne", {"sample", "nowhere", "--top-p", "1.5"}, "top_p"},
        Refusal{"SampleTypicalAboveOne", {"sample", "nowhere", "--typical", "1.5"}, "typical_p"},
        Refusal{"SampleTypicalByItsOtherName", {"sample", "nowhere", "--typical-p", "-1"}, "typical_p"},
        Refusal{
            "SamplePresenceNaN", {"sample", "nowhere", "--presence-penalty", "nan"}, "--presence-penalty"},
        Refusal{
            "SampleFrequencyHuge", {"sample", "nowhere", "--frequency-penalty", "1e9"}, "frequency_penalty"},
        Refusal{"SampleRepeatLastN", {"sample", "nowhere", "--repeat-last-n", "1025"}, "--repeat-last-n"},
        Refusal{"SampleNgramNegative", {"sample", "nowhere", "--no-repeat-ngram", "-1"}, "--no-repeat-ngram"},
        Refusal{"SampleSeedNegative", {"sample", "nowhere", "--seed", "-1"}, "--seed"},
        Refusal{
            "SampleUnknownFlag", {"sample", "nowhere", "--temprature", "1"}, "Did you mean --temperature?"},
        Refusal{"PlanOfNothing", {"plan"}, "Give either a corpus or --vocab-size"},
        Refusal{
            "PlanOfTwo", {"plan", "CORPUS", "--vocab-size", "500"}, "Give either a corpus or --vocab-size"},
        Refusal{"PlanVocabularyTooSmall", {"plan", "--vocab-size", "1"}, "--vocab-size = 1 is out of range"},
        Refusal{"PlanNoSize", {"plan", "--vocab-size", "500", "--memory", "80 G"}, "\"80 G\" is not a size"},
        Refusal{
            "PlanNegativeSize", {"plan", "--vocab-size", "500", "--memory=-1GB"}, "\"-1GB\" is not a size"},
        Refusal{"PlanCardForTheCpu",
                {"plan", "--vocab-size", "500", "--device", "cpu", "--card", "H100"},
                "the plan is for the CPU"},
        Refusal{"PlanUnknownDevice", {"plan", "--vocab-size", "500", "--device", "gpu"}, "device: \"gpu\""},
        Refusal{"InspectUnknownFlag", {"inspect", "nowhere", "--jsno"}, "Did you mean --json?"},
        Refusal{"CkptAlone", {"ckpt"}, "verify"},
        Refusal{"CkptUnknownVerb", {"ckpt", "verfy"}, "Unknown argument: verfy. Did you mean verify?"},
        Refusal{"CkptIsNoPlaceForTrain", {"ckpt", "train"}, "Unknown argument: train"},
        Refusal{"CkptHelpNamesTheWholeVerb", {"ckpt", "ls", "a", "b"}, "Help: zhgpt ckpt ls --help"},
        Refusal{"CkptUnknownFlag", {"ckpt", "ls", "nowhere", "--jsno"}, "Did you mean --json?"},
        Refusal{"CkptFlagWithValue", {"ckpt", "ls", "nowhere", "--json=1"}, "--json takes no value"},
        Refusal{"CkptMissingValue", {"ckpt", "prune", "nowhere", "--keep-last"}, "--keep-last needs a value"},
        Refusal{"CkptRepeated", {"ckpt", "tag", "x", "--from", "last", "--from", "best"}, "more than once"},
        Refusal{"CkptLanguage", {"ckpt", "ls", "--lang", "fr"}, "lang = \"fr\""},
        Refusal{"CkptLsOfNothing", {"ckpt", "ls"}, "zhgpt ckpt ls out"},
        Refusal{"CkptVerifyOfNothing", {"ckpt", "verify"}, "zhgpt ckpt verify out"},
        Refusal{"CkptDiffOfOne", {"ckpt", "diff", "a.bin"}, "zhgpt ckpt diff a.bin b.bin"},
        Refusal{"CkptLogOfNothing", {"ckpt", "log", "nowhere"}, "nowhere", 5},
        Refusal{"CkptTagOfNothing", {"ckpt", "tag", "nowhere"}, "nowhere", 5},
        Refusal{"CkptPruneOfNothing", {"ckpt", "prune", "nowhere"}, "nowhere", 5},
        Refusal{"CkptPruneAll", {"ckpt", "prune", "nowhere", "--keep-last", "0"}, "--keep-last = 0"},
        Refusal{"CkptExtendWithoutCorpus", {"ckpt", "extend", "a.bin"}, "No corpus was given"},
        Refusal{"CkptExtendNowhere", {"ckpt", "extend", "a.bin", "--corpus", "CORPUS"}, "-o new/start.bin"},
        Refusal{"ResumeCheckOfNothing", {"resume-check"}, "zhgpt resume-check out"},
        Refusal{"ResumeCheckAtTheEnd", {"resume-check", "CORPUS", "--at", "5", "--steps", "5"}, "--at 5"}),
    test_name);

INSTANTIATE_TEST_SUITE_P(
    Flags, Refused,
    testing::Values(
        train_flag("Unknown", {"--batch-sise", "4"}, "--batch-sise. Did you mean --batch-size?"),
        train_flag("UnknownWithValue", {"--batch-sise=4"}, "Did you mean --batch-size?"),
        train_flag("UnknownFarFromAll", {"--zzzzzzzzzzzz"}, "Unknown argument: --zzzzzzzzzzzz"),
        train_flag("UnknownShort", {"-x"}, "-x"),
        train_flag("VocabSizeIsNoFlag", {"--vocab-size", "99"}, "--vocab-size"),
        train_flag("MissingValue", {"--batch-size"}, "--batch-size"),
        train_flag("EmptyValue", {"--batch-size="}, "--batch-size"),
        train_flag("EmptyWord", {"--batch-size", ""}, "batch_size"),
        train_flag("RepeatedFlag", {"--seed", "1", "--seed", "2"}, "--seed"),
        train_flag("DeterministicNeither", {"--deterministic", "maybe"}, "is not one of true|false"),
        train_flag("CudnnOnTheCpu", {"--device", "cpu", "--attention", "cudnn"},
                   "Use --dtype bf16 on a CUDA device"),
        train_flag("RecomputeUnknown", {"--recompute", "all"}, "is not one of none|gelu|block"),
        train_flag("LearningRateNaN", {"--learning-rate", "nan"}, "learning_rate: \"nan\""),
        train_flag("LearningRateInfinite", {"--learning-rate", "inf"}, "learning_rate: \"inf\""),
        train_flag("LearningRateOverflow", {"--learning-rate", "1e999"}, "learning_rate: \"1e999\""),
        train_flag("LearningRateNegative", {"--learning-rate", "-1"}, "learning_rate = -1 is out of range"),
        train_flag("LearningRateComma", {"--learning-rate", "0,001"}, "learning_rate: \"0,001\""),
        train_flag("BatchZero", {"--batch-size", "0"}, "batch_size = 0 is out of range: allowed is 1"),
        train_flag("BatchWithLetters", {"--batch-size", "12abc"}, "batch_size: \"12abc\""),
        train_flag("BatchFraction", {"--batch-size", "1.5"}, "batch_size: \"1.5\""),
        train_flag("BatchHuge", {"--batch-size", "9223372036854775808"}, "batch_size"),
        train_flag("BatchHugeInRange64", {"--batch-size", "9223372036854775807"}, "batch_size"),
        train_flag("BatchFullWidthDigits", {"--batch-size", "１２"}, "batch_size: \"１２\""),
        train_flag("LayersNone", {"--n-layer", "0"}, "n_layer = 0 is out of range"),
        train_flag("HeadsNegative", {"--n-head=-2"}, "n_head = -2 is out of range"),
        train_flag("WidthNotDivisible", {"--n-embd", "10", "--n-head", "4"},
                   "n_embd = 10 is not a multiple of n_head = 4"),
        train_flag("DropoutOne", {"--dropout", "1"}, "dropout = 1 is out of range"),
        train_flag("MinLrAbove", {"--min-lr", "1", "--learning-rate", "0.1"},
                   "min_lr = 1 is above learning_rate = 0.1"),
        train_flag("UnknownPreset", {"--preset", "huge"},
                   "preset = \"huge\" is not one of micro|tiny|small|gpt2"),
        train_flag("EmptyPreset", {"--preset", ""}, "preset"),
        train_flag("UnknownSchedule", {"--lr-schedule", "cosin"},
                   "lr_schedule = \"cosin\" is not one of cosine|linear"),
        train_flag("UnknownNormalForm", {"--normalize", "NFC"},
                   "normalize = \"NFC\" is not one of none|nfc|nfkc"),
        train_flag("TimeWithoutUnit", {"--max-time", "2d"}, "max_time"),
        train_flag("TimeNegative", {"--max-time", "-5s"}, "max_time"),
        train_flag("SeedNegative", {"--seed", "-1"}, "seed = -1 is out of range"),
        train_flag("ThreadsTooMany", {"--threads", "100000"}, "threads = 100000 is out of range"),
        train_flag("UnknownDevice", {"--device", "nonsense"}, "device: \"nonsense\" is unknown"),
        train_flag("CudaNotHere", {"--device", "cuda"}, "device: cuda:0 was asked for", 6),
        train_flag("CudaBadOrdinal", {"--device", "cuda:x"}, "device: \"cuda:x\" is unknown")),
    test_name);

INSTANTIATE_TEST_SUITE_P(
    Settings, Refused,
    testing::Values(
        Refusal{"MissingFile", {"train", "CORPUS", "--config", "none.toml"}, "none.toml", 5},
        Refusal{"EmptyFileName", {"train", "CORPUS", "--config", ""}, "no such file", 5},
        train_config("BadToml", "seed = 1\nn_layer 2\n", "c.toml:2: not valid TOML"),
        train_config("RepeatedKey", "seed = 1\nseed = 2\n", "c.toml:2: not valid TOML"),
        train_config("UnknownKey", "\n\nbatch_sise = 2\n",
                     "c.toml:3: Unknown setting \"batch_sise\". Did you mean \"batch_size\"?"),
        train_config("WrongType", "batch_size = \"many\"\n",
                     "c.toml:1: batch_size: \"many\" is not a whole number"),
        train_config("FractionForWhole", "seed = 1\nbatch_size = 1.5\n", "c.toml:2: batch_size: \"1.5\""),
        train_config("Boolean", "batch_size = true\n", "c.toml:1: batch_size"),
        train_config("Date", "batch_size = 2020-01-01\n", "c.toml:1: batch_size"),
        train_config("NotANumber", "learning_rate = nan\n", "c.toml:1: learning_rate"),
        train_config("OutOfRange", "seed = 1\n\nn_head = 0\n", "c.toml:3: n_head = 0 is out of range"),
        train_config("Section", "[model]\nn_layer = 2\n", "c.toml:1: model: expected one value"),
        train_config("List", "n_layer = [1, 2]\n", "c.toml:1: n_layer: expected one value"),
        train_environment("EnvironmentWord", "ZHGPT_BATCH_SIZE", "many",
                          "ZHGPT_BATCH_SIZE: batch_size: \"many\""),
        train_environment("EnvironmentEmpty", "ZHGPT_SEED", "", "ZHGPT_SEED"),
        train_environment("EnvironmentRange", "ZHGPT_N_HEAD", "0",
                          "ZHGPT_N_HEAD: n_head = 0 is out of range"),
        train_environment("EnvironmentChoice", "ZHGPT_LR_SCHEDULE", "cosin",
                          "ZHGPT_LR_SCHEDULE: lr_schedule"),
        Refusal{"ChineseText",
                {"train", "CORPUS", "--n-head", "0"},
                "n_head = 0 超出范围",
                2,
                {{"LC_ALL", "zh_CN.UTF-8"}}},
        Refusal{
            "ChineseByFlag", {"train", "CORPUS", "--lang", "zh", "--n-head", "0"}, "n_head = 0 超出范围"}),
    test_name);

struct Misuse {
  std::vector<std::string> arguments;
  std::string english, chinese;  // the first line on stderr, after "zhgpt: "
};

// Also of what the parser refuses by itself, every word is this program's and in the user's language.
TEST(Flags, MisuseIsToldInTheLanguageOfTheUser) {
  const Misuse misuses[] = {
      {{"train", "x", "--n-layr", "3"},
       "Unknown argument: --n-layr. Did you mean --n-layer?",
       "未知参数：--n-layr。您是不是想写 --n-layer？"},
      {{"train", "x", "--lagn", "zh"},
       "Unknown argument: --lagn. Did you mean --lang?",
       "未知参数：--lagn。您是不是想写 --lang？"},
      {{"train", "x", "--CORPU", "y"}, "Unknown argument: --CORPU", "未知参数：--CORPU"},
      {{"trian", "x", "--n-layer", "3"},
       "Unknown argument: trian. Did you mean train?",
       "未知参数：trian。您是不是想写 train？"},
      {{"train", "x", "--n-layer", "3", "--batch_size"},
       "--batch-size needs a value: --batch-size N",
       "--batch-size 后面缺少值，应写作：--batch-size N"},
      {{"train", "x", "-o"}, "-o needs a value: -o DIR", "-o 后面缺少值，应写作：-o DIR"},
      {{"resume", "x", "--corpus"},
       "--corpus needs a value: --corpus PATH",
       "--corpus 后面缺少值，应写作：--corpus PATH"},
      {{"doctor", "--lang"}, "--lang needs a value: --lang zh|en", "--lang 后面缺少值，应写作：--lang zh|en"},
      {{"train", "x", "--seed", "1", "--seed=2"},
       "--seed was given more than once.",
       "--seed 给出了不止一次。"},
      {{"train", "-o", "x", "--out-dir", "y"},
       "--out-dir was given more than once.",
       "--out-dir 给出了不止一次。"},
      {{"inspect", "x", "--json=maybe"}, "--json takes no value.", "--json 后面不带值。"},
      {{"sample", "x", "--greedy=1"}, "--greedy takes no value.", "--greedy 后面不带值。"},
      {{"sample", "x", "--top-k", "many"},
       "--top-k: \"many\" is not a whole number.",
       "--top-k：“many”不是整数。"},
      {{"sample", "x", "-n", "０"},
       "--max-chars: \"０\" is not a whole number.",
       "--max-chars：“０”不是整数。"},
      {{"sample", "x", "--temp", "1e999"},
       "--temperature: \"1e999\" is not a finite number.",
       "--temperature：“1e999”不是有限的数。"},
      {{"sample", "x", "--num-samples", "0"},
       "--num-samples = 0 is out of range: allowed is 1 to 16777216.",
       "--num-samples = 0 超出范围：允许 1 到 16777216。"},
      {{"sample", "x", "--seed=-1"},
       "--seed = -1 is out of range: allowed is 0 to 9223372036854775807.",
       "--seed = -1 超出范围：允许 0 到 9223372036854775807。"},
      {{"eval", "x", "y", "--threads", "1025"},
       "--threads = 1025 is out of range: allowed is 0 to 1024.",
       "--threads = 1025 超出范围：允许 0 到 1024。"},
  };
  for (const Misuse& misuse : misuses) {
    for (const bool is_chinese : {false, true}) {
      const char* locale = is_chinese ? "zh_CN.UTF-8" : "C.UTF-8";
      const ProcessResult result =
          run_program({.arguments = misuse.arguments, .environment = {{"LC_ALL", locale}}});
      EXPECT_EQ(result.exit_code, 2) << misuse.english;
      EXPECT_EQ(result.err.substr(0, result.err.find('\n')),
                is_chinese ? "zhgpt：" + misuse.chinese : "zhgpt: " + misuse.english);
    }
  }
}

TEST(Flags, AMissingCorpusIsToldInTheLanguageOfTheUser) {
  const TempDirectory work;
  const ProcessResult result =
      run_program({.arguments = {"train", "/none.txt", "--lang=zh"}, .directory = work.path().string()});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.err, "zhgpt：/none.txt：文件或目录不存在。请检查路径。\n");
}

TEST(Flags, AVerbsNameAfterAVerbIsAnArgument) {
  const ProcessResult result = run_program({.arguments = {"train", "resume", "-o", "/dev/null/none"}});
  EXPECT_NE(result.err.find("/dev/null/none"), std::string::npos) << result.err;
}

const std::vector<std::string> kTiny = {"--n-head=2", "--n-embd=16", "--block-size=16", "--max-iters=1"};

std::string trained_config(std::vector<std::string> flags, const TempDirectory& dir,
                           std::map<std::string, std::string> environment = {}) {
  flags.insert(flags.begin(), {"train", sample_corpus(), "-o", dir.file("out")});
  const ProcessResult result = run_program({.arguments = flags, .environment = std::move(environment)});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return std::string("\n").append(read_file(dir.file("out/config.toml")));
}

void expect_line(const std::string& text, const std::string& line) {
  EXPECT_NE(text.find("\n" + line + "\n"), std::string::npos) << line << " is not in" << text;
}

TEST(Flags, UnderscoresAndDashesAreOne) {
  for (const char* flag : {"--n_layer", "--n-layer"}) {
    for (const bool joined : {false, true}) {
      TempDirectory dir;
      std::vector<std::string> flags = kTiny;
      if (joined) {
        flags.push_back(std::string(flag) + "=2");
      } else {
        flags.insert(flags.end(), {flag, "2"});
      }
      expect_line(trained_config(flags, dir), "n_layer = 2");
    }
  }
}

TEST(Flags, ValuesKeepTheirUnderscores) {
  TempDirectory dir;
  std::vector<std::string> flags = kTiny;
  flags.insert(flags.end(), {"--n-layer=1", "--text-field=my_field"});
  expect_line(trained_config(flags, dir), "text_field = \"my_field\"");
}

TEST(Flags, LaterSourcesOverrideEarlierOnes) {
  TempDirectory dir;
  write_file(dir.file("c.toml"),
             "n_layer = 1\nn_head = 2\nn_embd = 16\nbatch_size = 1\nlog_interval = 5\nseed = 5\n");
  const std::string config =
      trained_config({"--preset", "tiny", "--config", dir.file("c.toml"), "--seed", "7", "--max-iters", "1"},
                     dir, {{"ZHGPT_LOG_INTERVAL", "6"}, {"ZHGPT_SEED", "6"}});
  expect_line(config, "warmup_iters = 100");  // the default: nobody said otherwise
  expect_line(config, "block_size = 256");    // preset over default
  expect_line(config, "n_layer = 1");         // file over preset
  expect_line(config, "log_interval = 6");    // environment over file
  expect_line(config, "seed = 7");            // flag over all
}

TEST(Flags, ARunsOwnConfigMayBeUsedAgain) {
  TempDirectory first, second;
  std::vector<std::string> flags = kTiny;
  flags.push_back("--n-layer=1");
  const std::string config = trained_config(flags, first);
  EXPECT_EQ(trained_config({"--config", first.file("out/config.toml")}, second), config);
}

TEST(Flags, DashesEndTheFlags) {
  TempDirectory dir;
  std::filesystem::copy_file(sample_corpus(), dir.file("--corpus"));
  std::vector<std::string> flags = kTiny;
  flags.insert(flags.begin(), "train");
  flags.insert(flags.end(), {"--n-layer=1", "--", "--corpus"});
  const ProcessResult result = run_program({.arguments = flags, .directory = dir.path().string()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

class Help : public testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(Help, GoesToStdoutInBothLanguages) {
  const auto [verb, lang] = GetParam();
  const bool is_chinese = std::string(lang) == "zh";
  for (const char* flag : {"-h", "--help"}) {
    Invocation invocation{.arguments = {"--lang", lang}};
    if (*verb) invocation.arguments.push_back(verb);
    invocation.arguments.push_back(flag);
    const ProcessResult result = run_program(invocation);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.err, "");
    EXPECT_NE(result.out.find(is_chinese ? "显示本帮助" : "print this help"), std::string::npos)
        << result.out;
    EXPECT_EQ(result.out.find(is_chinese ? "print this help" : "显示本帮助"), std::string::npos)
        << result.out;
  }
}

INSTANTIATE_TEST_SUITE_P(Verbs, Help,
                         testing::Combine(testing::Values("", "train", "resume", "sample", "eval", "report",
                                                          "inspect", "doctor"),
                                          testing::Values("en", "zh")));

TEST(Flags, TheLocaleChoosesTheLanguage) {
  const auto help_in = [](const char* locale) {
    return run_program({.arguments = {"--help"}, .environment = {{"LC_ALL", locale}}}).out;
  };
  EXPECT_NE(help_in("zh_CN.UTF-8").find("训练"), std::string::npos);
  EXPECT_EQ(help_in("en_US.UTF-8").find("训练"), std::string::npos);
  EXPECT_EQ(help_in("C").find("训练"), std::string::npos);
}

TEST(Flags, VersionGoesToStdout) {
  const ProcessResult result = run_program({.arguments = {"--version"}});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(result.out.starts_with("zhgpt ")) << result.out;
  EXPECT_EQ(result.err, "");
}

TEST(Flags, DoctorReports) {
  const ProcessResult result = run_program({.arguments = {"doctor"}});
  EXPECT_EQ(result.exit_code, 0);
  for (const char* part : {"program", "processor", "memory", "will use", "cuda", "disk free"}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << part;
  }
}

}  // namespace
}  // namespace zhgpt::test
