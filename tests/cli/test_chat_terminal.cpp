// The loop in a real terminal: keys go in, the screen is looked at.
#include "cli/journey.h"
#include "cli/terminal.h"
#include "cli/verse.h"
#include "text/utf8.h"

namespace zhgpt::test {
namespace {

class ChatInTerminal : public Journey {
 protected:
  void SetUp() override {
    if (!Terminal::is_there()) GTEST_SKIP() << "needs tmux";
    train();
  }
  std::vector<std::string> sample(const std::string& most = "12") const {
    return {"sample", run(), "-n", most, "--device=cpu", "--threads=1"};
  }
};

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++n;
  return n;
}

TEST_F(ChatInTerminal, ChineseIsTypedAndRubbedOutCharacterByCharacter) {
  const Terminal terminal(sample("1"));
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.type("天地春");
  ASSERT_TRUE(terminal.wait_for("> 天地春"));
  terminal.key("BSpace", 2);
  ASSERT_TRUE(terminal.wait([](const std::string& s) { return s.ends_with("> 天"); }));
  terminal.type("人");
  terminal.key("Left");
  terminal.type("地");
  ASSERT_TRUE(terminal.wait([](const std::string& s) { return s.ends_with("> 天地人"); }));
  terminal.key("Enter");
  ASSERT_TRUE(terminal.wait_for("\n天地人"));  // the text that begins so
}

TEST_F(ChatInTerminal, ArrowUpBringsBackLinesAlsoOfAnEarlierSession) {
  const std::map<std::string, std::string> environment = {{"ZHGPT_HISTORY", file("history")}};
  {
    const Terminal terminal(sample("1"), environment);
    ASSERT_TRUE(terminal.wait_for_prompt());
    terminal.enter("天地");
    ASSERT_TRUE(terminal.wait_for_prompt());
    terminal.key("Up");
    ASSERT_TRUE(terminal.wait([](const std::string& s) { return s.ends_with("> 天地"); }));
    terminal.key("C-c");
    ASSERT_TRUE(terminal.wait_for_prompt());
    terminal.key("C-d");
    ASSERT_TRUE(terminal.wait_for_end());
  }
  EXPECT_EQ(read_file(file("history")), "天地\n");
  const Terminal terminal(sample("1"), environment);
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.key("Up");
  ASSERT_TRUE(terminal.wait([](const std::string& s) { return s.ends_with("> 天地"); }));
}

TEST_F(ChatInTerminal, CtrlCStopsTheTextAndClearsTheLineButNeverLeaves) {
  std::vector<std::string> arguments = sample("100000000");
  arguments.push_back("--greedy");  // goes round in a circle, so that it never ends by itself
  const Terminal terminal(arguments);
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("天");
  ASSERT_TRUE(terminal.wait([](const std::string& s) { return s.find("Ctrl-D") == std::string::npos; }))
      << "the text has pushed the hint off the screen";
  terminal.key("C-c");
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.type("不要了");
  ASSERT_TRUE(terminal.wait_for("> 不要了"));
  terminal.key("C-c");
  ASSERT_TRUE(terminal.wait_for("/bye"));
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("/统计");
  ASSERT_TRUE(terminal.wait_for("ended by: Ctrl-C"));
  terminal.key("C-d");
  EXPECT_TRUE(terminal.wait_for_end());
}

TEST_F(ChatInTerminal, SeveralLinesBetweenQuotesAndPastedOnesAreOneText) {
  const Terminal terminal(sample("1"));
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("\"\"\"天");
  ASSERT_TRUE(terminal.wait([](const std::string& s) { return s.ends_with("\n…"); }));
  terminal.enter("地\"\"\"");
  ASSERT_TRUE(terminal.wait_for("\n天\n地"));
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.paste("春\n秋");
  ASSERT_TRUE(terminal.wait_for("> 春↵秋"));
  terminal.key("Enter");
  ASSERT_TRUE(terminal.wait_for("\n春\n秋"));
}

TEST_F(ChatInTerminal, ASettingIsChangedAndATypoIsAnsweredNotFatal) {
  const Terminal terminal(sample());
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("/set temperature 0.25");
  ASSERT_TRUE(terminal.wait_for("temperature = 0.25"));
  terminal.enter("/set top_p 7");
  ASSERT_TRUE(terminal.wait_for("top_p = 7 is out of range"));
  terminal.enter("/set temprature 1");
  ASSERT_TRUE(terminal.wait_for("Did you mean temperature?"));
  terminal.enter("/hlep");
  ASSERT_TRUE(terminal.wait_for("Did you mean /help?"));
  terminal.enter("／显示");
  ASSERT_TRUE(terminal.wait_for("温度"));
  EXPECT_NE(terminal.screen().find("0.95"), std::string::npos) << "top_p is what it was";
  terminal.enter("/load nowhere");
  ASSERT_TRUE(terminal.wait_for("nowhere"));
  terminal.enter("/bye");
  EXPECT_TRUE(terminal.wait_for_end());
}

TEST_F(ChatInTerminal, ATextIsRetriedGoneOnWithTakenBackAndSaved) {
  const Terminal terminal(sample("8"));
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("天地");
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("/save " + file("first.txt"));
  ASSERT_TRUE(terminal.wait_for("first.txt."));
  terminal.enter("/retry");
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("/save " + file("second.txt"));
  ASSERT_TRUE(terminal.wait_for("second.txt."));
  terminal.enter("/继续");
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("/save " + file("third.txt"));
  ASSERT_TRUE(terminal.wait_for("third.txt."));
  terminal.enter("/撤销");
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("/save " + file("fourth.txt"));
  ASSERT_TRUE(terminal.wait_for("fourth.txt."));
  const auto text = [&](const char* name) {
    std::string saved = read_file(file(name));
    saved.pop_back();  // the line's end
    return saved;
  };
  EXPECT_TRUE(text("first.txt").starts_with("天地") && text("second.txt").starts_with("天地"));
  EXPECT_NE(text("first.txt"), text("second.txt"));
  EXPECT_TRUE(text("third.txt").starts_with(text("second.txt")));
  EXPECT_GT(text("third.txt").size(), text("second.txt").size());
  EXPECT_EQ(text("fourth.txt"), text("second.txt"));
}

// The lines of verse of a file, without what ends them.
std::vector<std::u32string> verse_lines(const std::string& path) {
  std::u32string characters;
  decode_utf8(read_file(path), true, characters);
  if (!characters.empty()) characters.pop_back();  // the file's own end
  std::vector<std::u32string> lines(1);
  for (char32_t c : characters) {
    if (!cli::ends_line(c)) {
      lines.back() += c;
    } else if (!lines.back().empty()) {
      lines.emplace_back();
    }
  }
  lines.pop_back();  // empty, or not ended
  return lines;
}

TEST_F(ChatInTerminal, LinesOfAnAcrosticBeginAsAskedAndLinesHaveTheirLength) {
  const Terminal terminal(sample("120"));
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("/藏头 天國日月");
  ASSERT_TRUE(terminal.wait_for("國→国"));
  ASSERT_TRUE(terminal.wait([](const std::string& s) {
    const std::size_t at = s.find("\n天");
    return at != std::string::npos && s.find("\n国", at) < s.find("\n日", at) &&
           s.find("\n日", at) < s.find("\n月", at);
  }));
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("/save " + file("acrostic.txt"));
  ASSERT_TRUE(terminal.wait_for("acrostic.txt."));
  const auto lines = verse_lines(file("acrostic.txt"));
  ASSERT_EQ(lines.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(lines[i][0], U"天国日月"[i]);

  terminal.enter("/length 7");
  ASSERT_TRUE(terminal.wait_for("length = 7"));
  terminal.enter("春天");
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("/save " + file("seven.txt"));
  ASSERT_TRUE(terminal.wait_for("seven.txt."));
  const auto sevens = verse_lines(file("seven.txt"));
  ASSERT_FALSE(sevens.empty());
  for (const std::u32string& line : sevens) EXPECT_EQ(line.size(), 7u);
}

TEST_F(ChatInTerminal, TheModelIsLookedInto) {
  const Terminal terminal(sample("6"));
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("天");
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("/top 3");
  ASSERT_TRUE(terminal.wait([](const std::string& s) { return count(s, "%") >= 3; }));
  EXPECT_TRUE(holds(terminal.screen(), "by the settings"));
  terminal.enter("/为何 2");
  ASSERT_TRUE(terminal.wait_for("→"));
  terminal.enter("/score 天地");
  ASSERT_TRUE(terminal.wait_for("2 characters"));
  terminal.enter("/compare " + run("step_00000010.bin"));
  ASSERT_TRUE(terminal.wait_for("─┼─"));
  terminal.enter("/load " + run("step_00000010.bin"));
  ASSERT_TRUE(terminal.wait_for("step 10"));
}

TEST_F(ChatInTerminal, WhyIsAskedOnlyOfWhatTheModelWrote) {
  const Terminal terminal(sample());
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("/why");
  ASSERT_TRUE(terminal.wait_for("Nothing has been written yet."));
  terminal.enter("天地");
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("/undo");
  ASSERT_TRUE(terminal.wait_for_prompt());
  std::size_t refused = 0;
  for (const char* command : {"/why", "/undo", "/retry"}) {
    terminal.enter(command);
    ++refused;
    ASSERT_TRUE(
        terminal.wait([&](const std::string& s) { return count(s, "all of it was typed") == refused; }));
  }
  terminal.enter("/continue");
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("/why");
  ASSERT_TRUE(terminal.wait_for("→"));
}

// A stop text comes again at once: what goes on is empty, and the last character is of the piece before.
TEST_F(ChatInTerminal, WhyLooksBehindAPieceThatIsEmpty) {
  train_by_heart(file("by_heart"));
  const Terminal terminal(
      {"sample", file("by_heart"), "--greedy", "--stop", "黄", "--device=cpu", "--threads=1"});
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("天");
  ASSERT_TRUE(terminal.wait_for("\n天地玄"));
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("/continue");
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("/stats");
  ASSERT_TRUE(terminal.wait_for("\n0 characters in"));
  terminal.enter("/why 1");
  ASSERT_TRUE(terminal.wait([](const std::string& s) {
    const std::size_t chosen = s.find("→");
    return chosen != std::string::npos && s.find(" 玄 ", chosen) < s.find('\n', chosen);
  }));
}

TEST_F(ChatInTerminal, ASeedBringsATextBackAndClearForgetsIt) {
  const Terminal terminal(sample("8"));
  ASSERT_TRUE(terminal.wait_for_prompt());
  const auto write = [&](const char* name) {
    terminal.enter("/seed 5");
    EXPECT_TRUE(terminal.wait_for("seed = 5"));
    terminal.enter("天地");
    EXPECT_TRUE(terminal.wait_for_prompt());
    terminal.enter("/save " + file(name));
    EXPECT_TRUE(terminal.wait_for(std::string(name) + "."));
    return read_file(file(name));
  };
  const std::string first = write("first.txt");
  terminal.enter("/清空");
  ASSERT_TRUE(terminal.wait_for("The text is forgotten."));
  terminal.enter("/save " + file("cleared.txt"));
  ASSERT_TRUE(terminal.wait_for("cleared.txt."));
  EXPECT_EQ(read_file(file("cleared.txt")), "\n");
  EXPECT_EQ(write("second.txt"), first);
  EXPECT_GT(first.size(), std::string("天地\n").size());
}

TEST_F(ChatInTerminal, TheRunsOtherCheckpointsAreLoadedByTheirNames) {
  const Terminal terminal(sample("2"));
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("/load " + run("step_00000010.bin"));
  ASSERT_TRUE(terminal.wait_for("step 10"));
  terminal.enter("/加载 latest");
  ASSERT_TRUE(terminal.wait_for("step 30"));
  terminal.enter("/load best");
  ASSERT_TRUE(terminal.wait([](const std::string& s) { return count(s, ", step ") >= 3; }));
  terminal.enter("/load epoch:99");
  ASSERT_TRUE(terminal.wait_for("99"));
  terminal.enter("/bye");
  EXPECT_TRUE(terminal.wait_for_end());
}

TEST_F(ChatInTerminal, APackedProgramHasTheLoopAndKnowsNoRun) {
  ASSERT_EQ(call({"pack", run(), "-o", file("poem")}).exit_code, 0);
  const Terminal terminal({"-n", "4", "--device=cpu"}, {}, file("poem"));
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("天地");
  ASSERT_TRUE(terminal.wait_for("\n天地"));
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("/load best");
  ASSERT_TRUE(terminal.wait_for("Give a file"));
  terminal.enter("/load " + run("step_00000010.bin"));
  ASSERT_TRUE(terminal.wait_for("step 10"));
  terminal.enter("/bye");
  EXPECT_TRUE(terminal.wait_for_end());
}

TEST_F(ChatInTerminal, SurprisesAreColouredOnATerminal) {
  const Terminal terminal(sample("2"));
  ASSERT_TRUE(terminal.wait_for_prompt());
  terminal.enter("/score 天地");
  ASSERT_TRUE(terminal.wait_for("2 characters"));
  EXPECT_TRUE(holds(terminal.screen(), "\n天地\n")) << "no numbers between them";
}

}  // namespace
}  // namespace zhgpt::test
