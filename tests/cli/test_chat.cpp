// Parts of the loop that need no terminal, and sampling for scripts.
#include <cmath>
#include <set>
#include <sstream>

#include "cli/chat_commands.h"
#include "cli/chat_settings.h"
#include "cli/chat_views.h"
#include "cli/console.h"
#include "cli/journey.h"
#include "cli/stop_texts.h"
#include "cli/variants.h"
#include "cli/verse.h"
#include "text/utf8.h"
#include "zhgpt/error.h"

namespace zhgpt::test {
namespace {

using namespace zhgpt::cli;

TEST(ChatCommands, ALineIsReadWithAnySlashAndAnyBlanks) {
  for (const char* line : {"/set  top_k 5 ", "／set　top_k 5　", "、set\ttop_k 5"}) {
    const auto command = parse_command(line);
    ASSERT_TRUE(command) << line;
    EXPECT_EQ(command->name, "set") << line;
    EXPECT_EQ(command->argument, "top_k 5") << line;
  }
  EXPECT_FALSE(parse_command("床前/明月"));
  EXPECT_FALSE(parse_command(""));
  EXPECT_EQ(parse_command("/")->name, "");
}

TEST(ChatCommands, EachHasTwoNamesOfItsOwnAndStandsInTheHelp) {
  const std::string help = help_text();
  std::set<std::string> names;
  for (const ChatCommand& command : chat_commands()) {
    for (const char* name : {command.name, command.chinese}) {
      EXPECT_EQ(find_command(name), &command) << name;
      EXPECT_TRUE(names.insert(name).second) << name;
      EXPECT_TRUE(holds(help, "/" + std::string(name))) << name;
    }
  }
  EXPECT_EQ(find_command("?"), find_command("help"));
  EXPECT_EQ(find_command("nothing"), nullptr);
}

TEST(ChatCommands, ASlipIsAnsweredByWhatWasMeant) {
  EXPECT_EQ(nearest_command("hlep"), "/help");
  EXPECT_EQ(nearest_command("acrostik"), "/acrostic");
  EXPECT_EQ(nearest_command("帮忙"), "/帮助");
  EXPECT_EQ(nearest_command("你好"), "");
}

TEST(ChatSettings, ABadValueChangesNothing) {
  WriteRequest request;
  EXPECT_EQ(change_setting(request, "temperature 0.5"), "temperature = 0.5");
  EXPECT_EQ(change_setting(request, "top-k=7"), "top_k = 7");
  EXPECT_EQ(change_setting(request, "字数 9"), "max_chars = 9");
  for (const char* bad : {"top_p 2", "top_k many", "temperature", "", "max_chars 0", "nothing 1"})
    EXPECT_THROW(change_setting(request, bad), ConfigError) << bad;
  EXPECT_EQ(request.options.temperature, 0.5);
  EXPECT_EQ(request.options.top_k, 7);
  EXPECT_EQ(request.options.top_p, SamplingOptions{}.top_p);
  EXPECT_EQ(request.max_characters, 9);
}

// What is shown of a text that comes character by character.
std::string shown(std::vector<std::string> stop, const std::u32string& text) {
  StopTexts stops(std::move(stop));
  std::string out;
  for (char32_t c : text) {
    std::string piece;
    append_utf8(piece, c);
    out += stops.push(piece);
    if (stops.found()) break;
  }
  return out + stops.finish();
}

TEST(StopTexts, EndATextBeforeThemselvesAndShowAllElse) {
  EXPECT_EQ(shown({"明月"}, U"床前明月光"), "床前");
  EXPECT_EQ(shown({"明月"}, U"床前明日明"), "床前明日明") << "what only began is text after all";
  EXPECT_EQ(shown({"aab"}, U"aaab"), "a") << "a beginning inside a beginning";
  EXPECT_EQ(shown({"月光", "明月光"}, U"床前明月光"), "床前");
  EXPECT_EQ(shown({""}, U"床前"), "床前");
  EXPECT_EQ(shown({}, U"床前"), "床前");
}

Verse after(std::int64_t length, const std::u32string& heads, const std::u32string& text) {
  Verse verse(length, heads);
  for (char32_t c : text) verse.push(c);
  return verse;
}

TEST(Verse, LinesOfALengthHaveIt) {
  for (const std::u32string text : {U"", U"床前明月光，", U"床前明月光，疑是地上霜。\n"}) {
    EXPECT_TRUE(after(5, U"", text).allows(U'天'));
    EXPECT_FALSE(after(5, U"", text).allows(U'，'));
    EXPECT_TRUE(after(5, U"", text).allows_end());
  }
  const Verse inside = after(5, U"", U"床前明月光，疑是地");
  EXPECT_TRUE(inside.allows(U'上'));
  for (char32_t c : U"，。\n《 ") EXPECT_FALSE(c != 0 && inside.allows(c)) << static_cast<int>(c);
  EXPECT_FALSE(inside.allows_end());
  const Verse full = after(5, U"", U"床前明月光");
  for (char32_t c : {U'，', U'。', U'\n'}) EXPECT_TRUE(full.allows(c));
  EXPECT_FALSE(full.allows(U'天') || full.allows_end() || full.allows(U'《'));
  EXPECT_TRUE(after(5, U"", U"床前明月光，").allows(U'\n'));
  EXPECT_FALSE(after(5, U"", U"床前明月光，\n").allows(U'\n')) << "no blank line";
}

TEST(Verse, LinesOfAnAcrosticBeginAsAsked) {
  const Verse begin = after(0, U"春夏", U"");
  EXPECT_TRUE(begin.allows(U'春'));
  EXPECT_FALSE(begin.allows(U'夏') || begin.allows(U'\n') || begin.allows_end());
  EXPECT_FALSE(after(0, U"春夏", U"春").allows(U'，')) << "a character is no line";
  const Verse second = after(0, U"春夏", U"春眠不觉，");
  EXPECT_TRUE(second.allows(U'夏') && second.allows(U'\n') && second.breaks_before(U'夏'));
  EXPECT_FALSE(second.allows(U'春') || second.allows_end() || second.complete());
  EXPECT_FALSE(after(0, U"春夏", U"春眠不觉，\n").breaks_before(U'夏'));
  EXPECT_TRUE(after(0, U"春夏", U"春眠不觉，夏木阴。").complete());
  EXPECT_FALSE(after(0, U"春", U"春眠不觉晓春眠不觉晓春眠不觉晓春").allows(U'天')) << "it ends some time";
  const Verse free = after(0, U"", U"春");
  EXPECT_TRUE(free.allows(U'，') && free.allows_end() && !free.complete());
}

TEST(Variants, AreThoseThatAreKnown) {
  const auto of = [](char32_t c, std::u32string known) {
    return known_variant(c, [known](char32_t k) { return known.find(k) != std::u32string::npos; });
  };
  EXPECT_EQ(of(U'國', U"国"), U"国");
  EXPECT_EQ(of(U'国', U"國"), U"國");
  EXPECT_EQ(of(U'Ａ', U"A"), U"A");
  EXPECT_EQ(of(U'㏒', U"log"), U"log");
  EXPECT_EQ(of(U'㏒', U"lo"), U"") << "all of it or nothing";
  EXPECT_EQ(of(U'🐉', U"龙"), U"");
  EXPECT_EQ(of(U'國', U"天"), U"");
  EXPECT_EQ(of(U'発', U"發"), U"發") << "as Japan writes it";
  EXPECT_EQ(of(U'髮', U"发"), U"发");
}

TEST(Variants, SimplifiedComesBeforeTraditionalAndBothBeforeOtherPlaces) {
  const auto all_but = [](char32_t unknown) { return [unknown](char32_t c) { return c != unknown; }; };
  EXPECT_EQ(known_variant(U'國', all_but(U'國')), U"国") << "simplified before what Japan writes";
  EXPECT_EQ(known_variant(U'ｶ', all_but(U'ｶ')), U"カ") << "the compatible form, before any table";
  const auto traditional = [](char32_t c) { return c == U'發' || c == U'髮' || c == U'裡'; };
  EXPECT_EQ(known_variant(U'发', traditional), U"發") << "s2t: the form that is written more";
}

TEST(ChatViews, TextsAreWrappedByWhatATerminalShows) {
  EXPECT_EQ(wrapped("天地玄黄", 5), (std::vector<std::string>{"天地", "玄黄"}));
  EXPECT_EQ(wrapped("a天\n\n地", 5), (std::vector<std::string>{"a天", "", "地"}));
  const std::string both = side_by_side("left", "天地玄黄宇", "right", "ab\ncd", 13);
  EXPECT_EQ(both,
            "left  │ right\n"
            "──────┼──────\n"
            "天地  │ ab\n"
            "玄黄  │ cd\n"
            "宇    │ \n")
      << both;
}

TEST(ChatViews, CandidatesHaveTheModelsProbabilityAndTheChanceTheyWereLeft) {
  const Vocabulary vocab = Vocabulary::build({{U'天', 3}, {U'地', 2}, {U'人', 1}}, 1);
  const std::int32_t sky = vocab.encode("天")[0], earth = vocab.encode("地")[0], man = vocab.encode("人")[0];
  std::vector<float> logits(static_cast<std::size_t>(vocab.size()), -100);
  logits[static_cast<std::size_t>(sky)] = std::log(5.0F);
  logits[static_cast<std::size_t>(earth)] = std::log(3.0F);
  logits[static_cast<std::size_t>(man)] = std::log(2.0F);
  const std::string shown = likely_characters(vocab, logits, {{earth, 0.3, 0.6}, {man, 0.2, 0.4}}, 2, man);
  std::vector<std::string> lines;
  std::istringstream in(shown);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  ASSERT_EQ(lines.size(), 4u) << shown;
  EXPECT_TRUE(holds(lines[0], "by the model") && holds(lines[0], "by the settings")) << shown;
  EXPECT_TRUE(holds(lines[1], "天") && holds(lines[1], "50.00%") && holds(lines[1], "–")) << shown;
  EXPECT_TRUE(holds(lines[2], "地") && holds(lines[2], "30.00%") && holds(lines[2], "60.00%")) << shown;
  EXPECT_TRUE(lines[3].starts_with("→") && holds(lines[3], "20.00%") && holds(lines[3], "40.00%")) << shown;
}

TEST(ChatViews, SurprisesAreColouredFromGreenToRedOrHaveNumbers) {
  const Vocabulary vocab = Vocabulary::build({{U'天', 2}, {U'地', 1}}, 1);
  const std::vector<std::int32_t> ids = vocab.encode("天地");
  const std::vector<double> bits = {0.5, 99};
  EXPECT_EQ(surprises(vocab, ids, bits, false), "天0.5 地99.0 ");
  EXPECT_EQ(surprises(vocab, ids, bits, true),
            "\033[38;5;231;48;5;22m天\033[0m\033[38;5;231;48;5;88m地\033[0m");
}

class SampleScript : public Journey {
 protected:
  ProcessResult sample(std::vector<std::string> more, const std::string& input = "") const {
    std::vector<std::string> arguments = {"sample", run(), "--device=cpu", "--threads=1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program({.arguments = arguments, .stdin_text = input});
  }
};

TEST_F(SampleScript, JsonHoldsTheTextAndHowItCameAbout) {
  train();
  const ProcessResult plain = sample({"-p", "天", "-n", "9", "--num-samples=2"});
  const ProcessResult result = sample({"-p", "天", "-n", "9", "--num-samples=2", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  std::istringstream lines(result.out);
  std::string all;
  int number = 0;
  for (std::string line; std::getline(lines, line); ++number) {
    const Json text = Json::parse(line);
    EXPECT_EQ(text["prompt"], "天");
    EXPECT_EQ(text["sample"], number);
    EXPECT_EQ(text["seed"], 1337);
    EXPECT_EQ(text["model"], inspect(run())["state_hash"]);
    EXPECT_EQ(text["tokens"].size(), text["log_probabilities"].size());
    EXPECT_EQ(text["ended_by"] == "max_chars", text["tokens"].size() == 9);
    for (const double p : text["log_probabilities"]) EXPECT_TRUE(p <= 0 && p > -100) << p;
    EXPECT_GE(text["seconds"], 0.0);
    all += (number ? "\n天" : "天") + text["text"].get<std::string>() + "\n";
  }
  EXPECT_EQ(number, 2);
  EXPECT_EQ(all, plain.out);
}

TEST_F(SampleScript, LinesOfAPipeAndOfAFileAreAPromptEach) {
  train();
  const std::string expected =
      sample({"-p", "天", "-n", "9"}).out + "\n" + sample({"-p", "地", "-n", "9"}).out;
  EXPECT_EQ(sample({"-n", "9"}, "天\r\n\n地").out, expected);
  write_file(file("prompts.txt"), "天\n地\n");
  EXPECT_EQ(sample({"-n", "9", "--prompt-file", file("prompts.txt")}).out, expected);
  EXPECT_EQ(sample({"-n", "9", "--no-interactive"}, "天\n").out, sample({"-n", "9"}).out)
      << "stdin is left alone";
  EXPECT_EQ(sample({"--prompt-file", file("none.txt")}).exit_code, 5);
  EXPECT_EQ(sample({"-p", "天", "--prompt-file", file("prompts.txt")}).exit_code, 2);
}

TEST_F(SampleScript, ManyTextsAtOnceAreThoseThatEachIsAloneAndInOrder) {
  train();
  std::vector<std::string> prompts, alone_json;
  std::string all, alone, json;
  std::u32string characters;
  decode_utf8(read_file(corpus()), true, characters);
  for (std::size_t i = 0; i < 23; ++i) {  // more than are written at once
    std::string prompt;
    for (std::size_t k = 0; k < 1 + i % 5; ++k) {
      if (characters[7 * i + k] > U'\x3000') append_utf8(prompt, characters[7 * i + k]);
    }
    prompts.push_back(prompt.empty() ? "天" : prompt);
    all += prompts.back() + "\n";
  }
  write_file(file("prompts.txt"), all);
  // Texts of many lengths: a stop text that comes early in some and never in others.
  const std::vector<std::string> how = {"-n", "40", "--stop", "，", "--num-samples=2"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), how.begin(), how.end());
    return more;
  };
  for (const std::string& prompt : prompts) {
    alone += (alone.empty() ? "" : "\n") + sample(with({"-p", prompt})).out;
  }
  const ProcessResult together = sample(with({"--prompt-file", file("prompts.txt")}));
  EXPECT_EQ(together.exit_code, 0) << together.err;
  EXPECT_EQ(together.out, alone);

  std::string of_json;
  std::istringstream lines(sample(with({"--prompt-file", file("prompts.txt"), "--json"})).out);
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line); ++number) {
    const Json text = Json::parse(line);
    EXPECT_EQ(text["prompt"], prompts.at(number / 2));
    EXPECT_EQ(text["sample"], number % 2);
    of_json +=
        (number ? "\n" : "") + text["prompt"].get<std::string>() + text["text"].get<std::string>() + "\n";
  }
  EXPECT_EQ(of_json, alone);
}

TEST_F(SampleScript, AFileOfPromptsIsReadWholeBeforeAnythingIsWritten) {
  train();
  write_file(file("bad.txt"), "天\n地\xff\n");
  const ProcessResult bad = sample({"--prompt-file", file("bad.txt")});
  EXPECT_EQ(bad.exit_code, 3) << bad.err;
  EXPECT_TRUE(holds(bad.err, "bad.txt:2: ")) << bad.err;
  EXPECT_EQ(bad.out, "");
  write_file(file("empty.txt"), "\n\r\n");
  const ProcessResult empty = sample({"--prompt-file", file("empty.txt")});
  EXPECT_EQ(empty.exit_code, 3) << empty.err;
  EXPECT_TRUE(holds(empty.err, "empty.txt")) << empty.err;
}

TEST_F(SampleScript, RoundedWeightsWriteToo) {
  train();
  const auto write = [&](const char* weights) {
    const ProcessResult result = sample({"-p", "天", "-n", "9", "--json", "--weights", weights});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out)["log_probabilities"];
  };
  const Json exact = write("f32"), bf16 = write("bf16"), int8 = write("int8");
  EXPECT_NE(exact, bf16);
  EXPECT_NE(exact, int8);
  const double first = exact[0];
  EXPECT_NEAR(bf16[0], first, 0.05);
  EXPECT_NEAR(int8[0], first, 0.1);
  EXPECT_EQ(sample({"--weights", "int4"}).exit_code, 2);
}

TEST_F(SampleScript, AStopTextEndsTheTextBeforeItself) {
  train();
  const std::string whole = sample({"-p", "天", "-n", "40"}).out;
  std::u32string characters;
  decode_utf8(whole, true, characters);
  std::string stop;
  for (std::size_t i = 6; i < 8; ++i) append_utf8(stop, characters.at(i));
  const std::string before = whole.substr(0, whole.find(stop));
  EXPECT_EQ(sample({"-p", "天", "-n", "40", "--stop", "没有的话", "--stop", stop}).out, before + "\n");
  EXPECT_EQ(Json::parse(sample({"-p", "天", "--json", "--stop", stop}).out)["ended_by"], "stop_text");
}

TEST_F(SampleScript, AVariantIsReadForAnUnknownCharacterAndNamed) {
  train();
  const ProcessResult result = sample({"-p", "國天", "-n", "9"});
  EXPECT_EQ(result.out, sample({"-p", "国天", "-n", "9"}).out);
  EXPECT_TRUE(holds(result.err, "國→国")) << result.err;
}

TEST_F(SampleScript, WhatManyPromptsHoldIsNamedOnce) {
  train();
  const std::string prompts = "國天\n天國\n🐉天\n🐉國🐲\n";
  write_file(file("prompts.txt"), prompts);
  for (const ProcessResult& result :
       {sample({"-n", "3"}, prompts), sample({"-n", "3", "--prompt-file", file("prompts.txt")})}) {
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.err,
              "Unknown to the model, so a variant is read: 國→国\n"
              "The model has never seen: 🐉. Left out.\n"
              "The model has never seen: 🐲. Left out.\n");
  }
}

}  // namespace
}  // namespace zhgpt::test
