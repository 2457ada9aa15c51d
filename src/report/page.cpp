#include "report/page.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "report/chart.h"
#include "report/html.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

constexpr std::string_view kStyle =
#include "report/style.inc"
    ;

// Verdicts: see docs/quality.md.
constexpr double kCopiedFair = 0.1, kCopiedPoor = 0.5, kLoopedFair = 0.01, kLoopedPoor = 0.1, kIsVerse = 0.5;
constexpr std::size_t kMostSamples = 8, kLongestExcerpt = 40;

std::string paragraph(std::string_view kind, const std::string& text) {
  return element("p", kind, escaped(text));
}

std::string section(Msg title, const std::string& inner) {
  return element("section", "", element("h2", "", escaped(tr(title))) + inner);
}

// ---- at a glance

enum class Level { good, fair, poor, unknown };

struct Verdict {
  Msg question;
  Msg answers[3];  // good, fair, poor
  Level level = Level::unknown;
  std::string figure, why;
};

std::string verdict_html(const Verdict& v) {
  constexpr const char* kKinds[] = {"good", "fair", "poor", "unknown"};
  const auto level = static_cast<std::size_t>(v.level);
  const Msg answer = v.level == Level::unknown ? Msg::verdict_unknown : v.answers[level];
  return element("div", std::string("card verdict ") + kKinds[level],
                 element("h3", "", escaped(tr(v.question))) + paragraph("answer", tr(answer)) +
                     (v.figure.empty() ? "" : paragraph("figure", v.figure)) + paragraph("why", v.why));
}

Level level_of(double value, double fair, double poor) {
  if (!std::isfinite(value)) return Level::unknown;
  return value >= poor ? Level::poor : value >= fair ? Level::fair : Level::good;
}

std::string bits(double nats) {
  return rounded(nats / std::numbers::ln2, 2);
}

Verdict learned(const ReportData& data) {
  Verdict v{Msg::ask_learned, {Msg::learned_good, Msg::learned_fair, Msg::learned_poor}};
  const LoggedEvaluation* best = data.log.best();
  if (!best || !data.baselines) {
    v.why = tr(Msg::learned_no_text);
    return v;
  }
  const double loss = best->val_loss, bigram = data.baselines->bigram;
  const int better = (loss < bigram) + (loss < data.five_gram);  // than so many of the two
  v.level = better == 2 ? Level::good : better == 1 ? Level::fair : Level::poor;
  v.figure = tr(Msg::learned_figure, bits(loss));
  v.why = tr(Msg::learned_beside, bits(loss), bits(bigram), bits(data.five_gram));
  return v;
}

Verdict memorised(const ReportData& data) {
  Verdict v{Msg::ask_memorised, {Msg::memorised_good, Msg::memorised_fair, Msg::memorised_poor}};
  const double rate = data.model ? data.model->copying.rate(1) : std::nan("");
  if (data.train_characters > 0) v.level = level_of(rate, kCopiedFair, kCopiedPoor);
  if (v.level == Level::unknown) {
    v.why = tr(data.model ? Msg::memorised_too_short : Msg::nothing_written);
    return v;
  }
  v.figure = tr(Msg::memorised_figure, percent(rate));
  v.why = tr(Msg::memorised_beside, percent(rate), data.model->copying.longest);
  return v;
}

Verdict repeats(const ReportData& data) {
  Verdict v{Msg::ask_repeats, {Msg::repeats_good, Msg::repeats_fair, Msg::repeats_poor}};
  if (data.model) v.level = level_of(data.model->looped, kLoopedFair, kLoopedPoor);
  if (v.level == Level::unknown) {
    v.why = tr(Msg::nothing_written);
    return v;
  }
  v.figure = tr(Msg::repeats_figure, percent(data.model->looped));
  v.why = tr(Msg::repeats_beside);
  return v;
}

// ---- curves

std::vector<Point> curve(const std::vector<LoggedStep>& steps, double LoggedStep::*value) {
  std::vector<Point> points;
  for (const LoggedStep& s : steps) points.push_back({static_cast<double>(s.step), s.*value});
  return points;
}

std::string curves(const ReportData& data) {
  const std::string step = tr(Msg::chart_step);
  std::vector<Point> loss = curve(data.log.steps, &LoggedStep::loss);
  std::erase_if(loss, [](const Point& p) { return !std::isfinite(p.y); });
  Chart losses{tr(Msg::chart_loss), tr(Msg::chart_loss_why), {}, {}, step, false};
  losses.series.push_back({tr(Msg::key_train), "raw", loss});
  losses.series.push_back({tr(Msg::key_train_mean), "train", running_mean(loss, loss.size() / 40)});
  if (data.log.best()) {
    Series val{tr(Msg::key_val), "val", {}};
    for (const LoggedEvaluation& e : data.log.evaluations)
      val.points.push_back({static_cast<double>(e.step), e.val_loss});
    losses.series.push_back(std::move(val));
  }
  if (data.baselines) {
    losses.levels = {{tr(Msg::row_unigram), "unigram", data.baselines->unigram},
                     {tr(Msg::row_bigram), "bigram", data.baselines->bigram},
                     {tr(Msg::row_five_gram), "five", data.five_gram}};
  }
  const auto single = [&](Msg title, Msg why, double LoggedStep::*value) {
    return chart_html(
        {tr(title), tr(why), {{tr(title), "train", curve(data.log.steps, value)}}, {}, step, true});
  };
  return element("div", "cards charts",
                 chart_html(losses) +
                     single(Msg::chart_rate, Msg::chart_rate_why, &LoggedStep::learning_rate) +
                     single(Msg::chart_norm, Msg::chart_norm_why, &LoggedStep::grad_norm) +
                     single(Msg::chart_speed, Msg::chart_speed_why, &LoggedStep::characters_per_s));
}

// ---- samples

std::string sample_card(const std::string& label, const std::string& text) {
  return element("div", "card", paragraph("label", label) + element("div", "text", escaped(text)));
}

std::string samples(const ReportData& data) {
  const std::vector<LoggedSample>& all = data.log.samples;
  std::string cards;
  const std::size_t shown =
      std::min(all.size(), kMostSamples);  // spread evenly, the first and the last among them
  for (std::size_t i = 0; i < shown; ++i) {
    const LoggedSample& s = all[shown == 1 ? 0 : i * (all.size() - 1) / (shown - 1)];
    cards += sample_card(tr(Msg::sample_step, s.step), s.text);
  }
  std::string html = paragraph("soft texts", tr(all.empty() ? Msg::samples_none : Msg::samples_of_training)) +
                     element("div", "cards", cards);
  if (!data.kept.empty()) {
    cards.clear();
    for (const auto& [name, text] : data.kept) cards += sample_card(name, text);
    html +=
        paragraph("soft texts", tr(Msg::samples_of_checkpoints, data.seed)) + element("div", "cards", cards);
  }
  if (!data.written.empty()) {
    cards.clear();
    for (std::size_t i = 0; i < data.written.size(); ++i)
      cards += sample_card(std::to_string(i + 1), data.written[i]);
    html += element(
        "details", "",
        element("summary", "", escaped(tr(Msg::samples_measured, data.written.size(), data.checkpoint))) +
            element("div", "cards texts", cards));
  }
  return html;
}

// ---- measures

struct Bar {
  double value = 0, full = 1;  // as drawn: value of full
  std::string words;
};

std::string bar(const std::string& who, std::string_view kind, const Bar& b) {
  const double width = std::isfinite(b.value) && b.full > 0 ? std::clamp(b.value / b.full, 0.0, 1.0) : 0;
  return "<span>" + escaped(who) + "</span><span class=\"bar " + std::string(kind) +
         "\"><i style=\"width:" + percent(width) + "%\"></i></span><b>" + escaped(b.words) + "</b>\n";
}

std::string measure(const std::string& name, const Bar& model, const std::optional<Bar>& people,
                    const std::string& why) {
  return element("div", "measure",
                 element("h3", "", escaped(name)) +
                     element("div", "bars",
                             bar(tr(Msg::measure_model), "", model) +
                                 (people ? bar(tr(Msg::measure_people), "people", *people) : "")) +
                     paragraph("why", why));
}

Bar share(double value) {
  return {value, 1, std::isfinite(value) ? percent(value) + " %" : "–"};
}

std::string excerpt(const std::string& text) {
  std::string out;
  std::size_t characters = 0;
  for (const char c : text) {
    if ((c & 0xC0) != 0x80 && ++characters > kLongestExcerpt) return out + "…";
    out += c == '\n' ? std::string(" / ") : std::string(1, c);
  }
  return out;
}

double unpaired_share(const PairedMarks& m) {
  return static_cast<double>(m.unpaired) / static_cast<double>(m.marks);
}

// Calls of one kind: the same measure of the model's texts and of people's.
template <class Measure>
std::string both(const ReportData& data, const std::string& name, const std::string& why,
                 const Measure& measured) {
  std::optional<Bar> people;
  if (data.people) people = measured(*data.people);
  return measure(name, measured(*data.model), people, why);
}

std::string copying(const ReportData& data) {
  if (data.train_characters == 0) return "";
  const TextMeasures& m = *data.model;
  // What is copied of the training text itself says nothing.
  const bool people_count = data.people && data.people_are_validation;
  std::string html;
  const auto add = [&](const std::string& name, const std::string& why, const auto& measured) {
    html +=
        measure(name, measured(m), people_count ? std::optional(measured(*data.people)) : std::nullopt, why);
  };
  for (std::size_t i = 0; i < Copying::kLengths.size(); ++i) {
    add(tr(Msg::measure_copy, Copying::kLengths[i]), tr(Msg::measure_copy_why, Copying::kLengths[i]),
        [i](const TextMeasures& t) { return share(t.copying.rate(i)); });
  }
  const auto most =
      static_cast<double>(std::max(m.copying.longest, people_count ? data.people->copying.longest : 0));
  add(tr(Msg::measure_longest), tr(Msg::measure_longest_why, excerpt(m.longest_copied)),
      [most](const TextMeasures& t) {
        return Bar{static_cast<double>(t.copying.longest), most, std::to_string(t.copying.longest)};
      });
  return html;
}

std::string measures(const ReportData& data) {
  if (!data.model) return paragraph("soft", tr(Msg::nothing_written));
  const TextMeasures& m = *data.model;
  std::string html = copying(data);
  // The more text, the fewer different pieces: only equal amounts can be compared.
  const bool is_as_much = data.people && data.people->characters * 10 >= m.characters * 9;
  for (std::size_t i = 0; i < m.distinct.size(); ++i) {
    html += measure(tr(Msg::measure_distinct, i + 1), share(m.distinct[i]),
                    is_as_much ? std::optional(share(data.people->distinct[i])) : std::nullopt,
                    tr(Msg::measure_distinct_why, i + 1));
  }
  html += both(data, tr(Msg::measure_loops),
               m.loop.empty() ? tr(Msg::measure_loops_why) : tr(Msg::measure_loops_example, excerpt(m.loop)),
               [](const TextMeasures& t) { return share(t.looped); });
  html += both(data, tr(Msg::measure_marks), tr(Msg::measure_marks_why, m.marks.unpaired, m.marks.marks),
               [](const TextMeasures& t) { return share(unpaired_share(t.marks)); });
  const Msg basis = data.people_are_validation ? Msg::basis_val : Msg::basis_train;
  const std::int64_t of_people = data.people ? data.people->characters : 0;
  return paragraph("soft texts",
                   tr(Msg::measure_basis, m.texts, data.longest_text, m.characters, of_people, tr(basis))) +
         html;
}

bool is_verse(const TextMeasures& m) {
  return m.verse.line_share(5) + m.verse.line_share(7) >= kIsVerse;
}

std::string verse(const ReportData& data) {
  const TextMeasures& m = *data.model;
  std::string html =
      both(data, tr(Msg::measure_rhyme), tr(Msg::measure_rhyme_why, percent(m.verse.chance(), 0)),
           [](const TextMeasures& t) { return share(t.verse.rhymed_share()); });
  std::string why = tr(Msg::verse_why);  // once is enough
  for (std::int64_t length = 1; length <= 10; ++length) {
    if (m.verse.line_share(length) < 0.02 && data.people->verse.line_share(length) < 0.02) continue;
    html += both(data, tr(Msg::measure_lines, length), std::exchange(why, ""),
                 [length](const TextMeasures& t) { return share(t.verse.line_share(length)); });
  }
  return html;
}

// ---- facts

std::string fact(Msg name, const std::string& value) {
  return "<dt>" + escaped(tr(name)) + "</dt><dd>" + escaped(value) + "</dd>\n";
}

std::string folded_table(Msg title, std::string_view kind, const std::vector<std::vector<std::string>>& rows,
                         bool has_head) {
  std::string html;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::string cells;
    for (const std::string& cell : rows[i])
      cells += element(has_head && i == 0 ? "th" : "td", "", escaped(cell));
    html += element("tr", "", cells);
  }
  return element(
      "details", "",
      element("summary", "", escaped(tr(title))) + element("div", "scroll", element("table", kind, html)));
}

std::string facts(const ReportData& data) {
  std::string list = fact(Msg::fact_directory, data.directory);
  if (data.config && data.parameters > 0) {
    const ModelConfig& m = data.config->model;
    list += fact(Msg::fact_model,
                 tr(Msg::fact_model_value, m.n_layer, m.n_head, m.n_embd, m.block_size, data.parameters));
    list += fact(Msg::fact_vocabulary, tr(Msg::fact_vocabulary_value, data.vocab_size, data.frequent));
  }
  if (data.train_characters > 0)
    list += fact(Msg::fact_corpus,
                 tr(Msg::fact_corpus_value, data.documents, data.train_characters, data.val_characters));
  if (const LoggedEvaluation* best = data.log.best()) {
    list += fact(Msg::fact_best, tr(Msg::fact_best_value, best->step, rounded(best->val_loss, 4),
                                    rounded(std::exp(best->val_loss), 1), percent(best->val_accuracy)));
  }
  std::string names;
  for (const auto& [name, text] : data.kept) names += (names.empty() ? "" : ", ") + name;
  if (!names.empty()) list += fact(Msg::fact_checkpoints, names);
  if (data.log.damaged_lines > 0)
    list += fact(Msg::fact_damaged_lines, std::to_string(data.log.damaged_lines));
  std::string html = element("div", "card", element("dl", "", list));
  if (!data.log.evaluations.empty()) {
    std::vector<std::vector<std::string>> rows{
        {tr(Msg::chart_step), tr(Msg::key_train), tr(Msg::key_val), tr(Msg::column_accuracy)}};
    for (const LoggedEvaluation& e : data.log.evaluations) {
      rows.push_back({std::to_string(e.step), rounded(e.train_loss, 4), rounded(e.val_loss, 4),
                      rounded(e.val_accuracy, 4)});
    }
    html += folded_table(Msg::fact_evaluations, "", rows, true);
  }
  if (data.config) {
    std::vector<std::vector<std::string>> rows;
    const KeyValues values = data.config->to_key_values();
    for (const auto& [name, value] : values.entries()) rows.push_back({name, value});
    html += folded_table(Msg::fact_configuration, "settings", rows, false);
  }
  return html;
}

}  // namespace

std::string report_page(const ReportData& data) {
  const std::string title = tr(Msg::page_title, data.name);
  std::string body = element("header", "",
                             element("h1", "", escaped(title)) +
                                 paragraph("soft", tr(Msg::page_subtitle, data.log.last_step(),
                                                      rounded(data.log.last_epoch(), 2), data.directory)));
  body += section(Msg::page_glance, element("div", "cards",
                                            verdict_html(learned(data)) + verdict_html(memorised(data)) +
                                                verdict_html(repeats(data))));
  body += section(Msg::page_curves, curves(data));
  body += section(Msg::page_samples, samples(data));
  body += section(Msg::page_measures, measures(data));
  if (data.model && data.people && is_verse(*data.people)) body += section(Msg::page_verse, verse(data));
  body += section(Msg::page_facts, facts(data));
  body += element("footer", "", escaped(tr(Msg::page_made_by)));
  return "<!doctype html>\n<html lang=\"" + std::string(language() == Lang::zh ? "zh-CN" : "en") +
         "\">\n<head>\n<meta charset=\"utf-8\">\n" + std::string(kReportMark) +
         "\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
         "<meta name=\"color-scheme\" content=\"light dark\">\n"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
         "'unsafe-inline'\">\n" +
         element("title", "", escaped(title)) + element("style", "", kStyle) + "</head>\n<body>\n" + body +
         "</body>\n</html>\n";
}

}  // namespace zhgpt
