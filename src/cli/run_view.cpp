#include "cli/run_view.h"

#include <cstdio>
#include <iostream>
#include <numeric>

#include "cli/console.h"
#include "cli/table.h"
#include "zhgpt/messages.h"

namespace zhgpt::cli {
namespace {

std::string scientific(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1e", value);
  return text;
}

}  // namespace

RunView::RunView(const std::string& directory)
    : log_(directory + "/train.log", std::ios::app | std::ios::binary) {}

void RunView::say(const std::string& text) {
  end_progress_line();
  std::cerr << text << "\n";
  log_ << text << std::endl;
}

void RunView::on_step(const StepReport& r, bool log_line) {
  const auto loss = static_cast<double>(r.state.loss);
  // One step's loss jumps about; what is drawn is a running mean over about twenty.
  smoothed_loss_ = smoothed_loss_ < 0 ? loss : smoothed_loss_ + 0.05 * (loss - smoothed_loss_);
  const double fraction = static_cast<double>(r.step) / static_cast<double>(r.total_steps);
  const std::string val = val_loss_ < 0 ? std::string() : tr(Msg::progress_val, fixed(val_loss_, 3));
  const std::string numbers =
      tr(Msg::progress_numbers, fixed(log_line && !stderr_is_terminal() ? loss : smoothed_loss_, 3), val,
         scientific(r.learning_rate), fixed(static_cast<double>(r.state.grad_norm), 2),
         short_number(r.characters_per_s), short_duration(r.seconds_left));
  const std::string place = tr(Msg::progress_place, r.step, r.total_steps, fixed(r.epoch, 2));
  const std::string brief = fixed(100 * fraction, 0) + "% " + numbers;  // for the usual 80 columns
  const std::string full = place + " " + progress_bar(fraction, 10) + brief;
  draw_progress_line(fits_progress_line(full) ? full : brief);
  if (!log_line) return;
  if (!stderr_is_terminal()) std::cerr << place << " " << numbers << "\n";
  log_ << place << " " << numbers << std::endl;
}

void RunView::on_evaluation(const EvaluationReport& r) {
  val_loss_ = r.val_loss;
  say(tr(r.is_best ? Msg::evaluated_best : Msg::evaluated, r.step, fixed(r.epoch, 2), fixed(r.train_loss, 4),
         fixed(r.val_loss, 4), fixed(r.val_accuracy, 4)));
}

void RunView::on_saved(const std::string& path) {
  log_ << tr(Msg::saved, path) << std::endl;
}

void RunView::on_sample(const std::string& text) {
  std::string one_line;
  for (char c : text) one_line += c == '\n' ? std::string(" / ") : std::string(1, c);
  say("  » " + one_line);
}

void RunView::on_profile(const Profile& profile) {
  constexpr Msg kNames[kPhases] = {Msg::profile_data,     Msg::profile_forward,   Msg::profile_head,
                                   Msg::profile_backward, Msg::profile_optimizer, Msg::profile_evaluation,
                                   Msg::profile_sample,   Msg::profile_save,      Msg::profile_other};
  const std::array<double, kPhases> ms = profile.ms_by_phase();
  const double all = std::accumulate(ms.begin(), ms.end(), 0.0);
  std::vector<std::vector<std::string>> rows{cells_of(tr(Msg::profile_header))};
  for (std::size_t i = 0; i < kPhases; ++i) {
    if (ms[i] == 0) continue;
    rows.push_back({tr(kNames[i]), fixed(ms[i] / static_cast<double>(profile.steps_seen()), 3),
                    fixed(100 * ms[i] / all, 1) + "%"});
  }
  std::string text =
      tr(Msg::profile_written, profile.steps_seen(), profile.path()) + "\n" + table(rows, "lrr");
  text.pop_back();
  say(text);
}

}  // namespace zhgpt::cli
