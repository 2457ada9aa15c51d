#include "report/page.h"

#include <algorithm>
#include <cmath>

#include "report/chart.h"
#include "report/html.h"
#include "report/page_parts.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

constexpr std::string_view kStyle =
#include "report/style.inc"
    ;

constexpr std::size_t kMostSamples = 8;

std::string section(Msg title, const std::string& inner) {
  return element("section", "", element("h2", "", escaped(tr(title))) + inner);
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
  body += section(Msg::page_glance, verdicts_html(data));
  body += section(Msg::page_curves, curves(data));
  body += section(Msg::page_samples, samples(data));
  body += section(Msg::page_measures, measures_html(data));
  if (is_verse(data)) body += section(Msg::page_verse, verse_html(data));
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
