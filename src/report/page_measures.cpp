// What the texts are like: each measure of the model's beside that of the corpus.
#include <algorithm>
#include <cmath>

#include "report/html.h"
#include "report/page_parts.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

constexpr double kIsVerse = 0.5;  // lines of 5 or 7 characters among all
constexpr std::size_t kLongestExcerpt = 40;

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

}  // namespace

std::string measures_html(const ReportData& data) {
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

bool is_verse(const ReportData& data) {
  if (!data.model || !data.people) return false;
  const Verse& verse = data.people->verse;
  return verse.line_share(5) + verse.line_share(7) >= kIsVerse;
}

std::string verse_html(const ReportData& data) {
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

}  // namespace zhgpt
