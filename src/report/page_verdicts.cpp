// At a glance: did it learn, did it memorise, does it repeat itself?
#include <cmath>
#include <numbers>

#include "report/html.h"
#include "report/page_parts.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

constexpr double kCopiedFair = 0.1, kCopiedPoor = 0.5, kLoopedFair = 0.01, kLoopedPoor = 0.1;

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

}  // namespace

std::string verdicts_html(const ReportData& data) {
  return element("div", "cards",
                 verdict_html(learned(data)) + verdict_html(memorised(data)) + verdict_html(repeats(data)));
}

}  // namespace zhgpt
