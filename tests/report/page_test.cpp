// The page from what a run left: whole, cut off, without validation, with nothing but numbers.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "report/page.h"
#include "support/temp_directory.h"
#include "zhgpt/messages.h"

namespace zhgpt::test {
namespace {

class ReportFiles : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    std::ofstream(temp_.file(name), std::ios::binary) << text;
  }
  RunLog log() const { return read_run_log(temp_.path()); }

 private:
  TempDirectory temp_;
};

constexpr const char* kMetrics =
    R"({"step":10,"epoch":0.5,"loss":6.5,"lr":0.001,"grad_norm":1.5,"chars_per_s":40000})"
    "\n"
    R"({"step":20,"epoch":1,"train_loss":5.5,"val_loss":5.75,"val_accuracy":0.25})"
    "\n"
    R"({"step":20,"epoch":1,"loss":null,"lr":0.002,"grad_norm":null,"chars_per_s":41000})"
    "\n"
    R"({"step":40,"epoch":2,"train_loss":5,"val_loss":6,"val_accuracy":0.24})"
    "\n";

TEST_F(ReportFiles, ALogIsReadAsItWasWritten) {
  write("metrics.jsonl", kMetrics);
  write("samples.txt", "== step 20\n春眠\n\n晓\n\n== step 40\n\n\n");
  const RunLog l = log();
  ASSERT_EQ(l.steps.size(), 2u);
  EXPECT_EQ(l.steps[0].step, 10);
  EXPECT_EQ(l.steps[0].loss, 6.5);
  EXPECT_EQ(l.steps[0].learning_rate, 0.001);
  EXPECT_EQ(l.steps[0].grad_norm, 1.5);
  EXPECT_EQ(l.steps[0].characters_per_s, 40000);
  EXPECT_TRUE(std::isnan(l.steps[1].loss));
  ASSERT_EQ(l.evaluations.size(), 2u);
  EXPECT_EQ(l.best()->step, 20);
  EXPECT_EQ(l.last_step(), 40);
  EXPECT_EQ(l.last_epoch(), 2);
  EXPECT_EQ(l.damaged_lines, 0);
  ASSERT_EQ(l.samples.size(), 2u);
  EXPECT_EQ(l.samples[0].text, "春眠\n\n晓");
  EXPECT_EQ(l.samples[1].text, "");
}

TEST_F(ReportFiles, ALineThatWasCutOffIsCountedAndPassedOver) {
  write("metrics.jsonl", std::string(kMetrics) + R"({"step":50,"epoch":2.5,"lo)");
  EXPECT_EQ(log().steps.size(), 2u);
  EXPECT_EQ(log().damaged_lines, 1);
  write("metrics.jsonl", "");
  EXPECT_EQ(log().best(), nullptr);
  EXPECT_EQ(log().last_step(), 0);
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

TEST(Page, OfNothingButALogSaysWhatIsNotKnown) {
  ReportData data{.name = "<b>run</b>"};
  const std::string page = report_page(data);
  EXPECT_TRUE(page.starts_with("<!doctype html>"));
  EXPECT_TRUE(holds(page.substr(0, 512), std::string(kReportMark)));
  EXPECT_TRUE(holds(page, "&lt;b&gt;run&lt;/b&gt;"));
  EXPECT_FALSE(holds(page, "<b>run"));
  EXPECT_TRUE(holds(page, tr(Msg::learned_no_text)));
  EXPECT_TRUE(holds(page, tr(Msg::nothing_written)));
  EXPECT_TRUE(holds(page, tr(Msg::samples_none)));
}

TEST(Page, LoadsNothing) {
  ReportData data{.name = "run", .directory = "/tmp/run"};
  data.log.steps = {{1, 0, 5, 0.1, 1, 100}, {2, 0, 4, 0.1, 1, 100}};
  const std::string page = report_page(data);
  for (const char* way : {"<script", "src=", "href=", "url(", "@import", "http:", "https:", "<link", "<img"})
    EXPECT_FALSE(holds(page, way)) << way;
  EXPECT_EQ(page, report_page(data));
}

// The words of the three verdicts, in their order.
std::vector<std::string> answers(const ReportData& data) {
  const std::string page = report_page(data), mark = "<p class=\"answer\">";
  std::vector<std::string> all;
  for (std::size_t at = page.find(mark); at != page.npos; at = page.find(mark, at + 1)) {
    const std::size_t begin = at + mark.size();
    all.push_back(page.substr(begin, page.find('<', begin) - begin));
  }
  return all;
}

TEST(Page, VerdictsByTheirThresholds) {
  const auto run = [](double loss, std::int64_t copied, double looped) {
    ReportData data{.name = "run"};
    data.log.evaluations = {{10, 1, 5, loss, 0.2}};
    data.train_characters = 1000;
    data.baselines = Baselines{.uniform = 8, .unigram = 6, .bigram = 5, .xz = 6};
    data.five_gram = 4.5;
    data.model = TextMeasures{.texts = 1, .characters = 1000};
    data.model->copying.pieces = {1000, 1000, 1000};
    data.model->copying.copied[1] = copied;
    data.model->looped = looped;
    return answers(data);
  };
  using Words = std::vector<std::string>;
  EXPECT_EQ(run(4.4, 99, 0.009), (Words{"yes", "no", "no"}));
  EXPECT_EQ(run(4.9, 100, 0.01), (Words{"in part", "in part", "sometimes"}));
  EXPECT_EQ(run(4.9, 499, 0.099), (Words{"in part", "in part", "sometimes"}));
  EXPECT_EQ(run(5.1, 500, 0.1), (Words{"not yet", "yes", "yes"}));
}

// Verse is told of where the corpus is: half of its lines have 5 or 7 characters.
TEST(Page, TellsOfVerseWhereTheCorpusIsVerse) {
  ReportData data{.name = "run"};
  data.model = data.people = TextMeasures{.texts = 1, .characters = 100};
  data.people->verse.lines = {{5, 3}, {7, 2}, {4, 5}};
  data.model->verse.lines = {{5, 1}, {9, 3}};
  const std::string page = report_page(data);
  EXPECT_TRUE(holds(page, tr(Msg::page_verse)));
  for (const std::int64_t length : {4, 5, 7, 9})
    EXPECT_TRUE(holds(page, tr(Msg::measure_lines, length))) << length;
  EXPECT_FALSE(holds(page, tr(Msg::measure_lines, 6)));
  data.people->verse.lines[4] = 6;
  EXPECT_FALSE(holds(report_page(data), tr(Msg::page_verse)));
}

TEST(Page, SpeaksTheLanguageThatWasAskedFor) {
  const ReportData data{.name = "run"};
  set_language(Lang::zh);
  const std::string page = report_page(data);
  set_language(Lang::en);
  EXPECT_TRUE(holds(page, "<html lang=\"zh-CN\">"));
  EXPECT_TRUE(holds(page, "一眼看懂"));
  EXPECT_TRUE(holds(report_page(data), "<html lang=\"en\">"));
}

// Two documents, 甲乙丙丁 and 戊己, then one without an end.
TEST(FirstTexts, AreDocumentsCutToALength) {
  const std::uint16_t ids[] = {10, 11, 12, 13, 1, 14, 15, 1, 16};
  const TokenArray tokens = token_array(DType::u16, std::as_bytes(std::span(ids)));
  const std::vector<WrittenText> texts = first_texts(tokens, 100, 3);
  ASSERT_EQ(texts.size(), 3u);
  EXPECT_EQ(texts[0].ids, (std::vector<std::int32_t>{10, 11, 12}));
  EXPECT_TRUE(texts[0].is_cut);
  EXPECT_EQ(texts[1].ids, (std::vector<std::int32_t>{14, 15}));
  EXPECT_FALSE(texts[1].is_cut);
  EXPECT_TRUE(texts[2].is_cut);
  EXPECT_EQ(first_texts(tokens, 2, 3).size(), 1u);
  EXPECT_EQ(first_texts(tokens, 2, 3)[0].ids.size(), 2u);
}

}  // namespace
}  // namespace zhgpt::test
