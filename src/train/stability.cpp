#include "zhgpt/stability.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

// Calls `use` for each of the words that single blanks separate.
template <class Use>
void for_each_word(std::string_view text, const Use& use) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    use(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void require_count(std::size_t count, std::size_t most, std::string_view what) {
  if (count > most) throw ConfigError(tr(Msg::too_many_values, what, most));
}

}  // namespace

double SpikeWindow::z_score(double value) const {
  if (values_.size() < kSize) return 0;
  double sum = 0, squares = 0;
  for (const float x : values_) sum += static_cast<double>(x);
  const double mean = sum / static_cast<double>(kSize);
  for (const float x : values_) squares += (static_cast<double>(x) - mean) * (static_cast<double>(x) - mean);
  const double deviation = std::sqrt(squares / static_cast<double>(kSize));
  return deviation > 0 ? (value - mean) / deviation : 0;
}

void SpikeWindow::add(float value) {
  if (values_.size() == kSize) values_.erase(values_.begin());
  values_.push_back(value);
}

std::string SpikeWindow::to_text() const {
  std::string text;
  for (const float x : values_) {
    char word[32];
    const auto end = std::to_chars(word, word + sizeof word, x).ptr;
    if (!text.empty()) text += ' ';
    text.append(word, end);
  }
  return text;
}

SpikeWindow SpikeWindow::from_text(std::string_view text, std::string_view what) {
  SpikeWindow window;
  for_each_word(text, [&](std::string_view word) {
    float value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc{} || end != word.data() + word.size() || !std::isfinite(value)) {
      throw ConfigError(tr(Msg::bad_window_value, what, word.substr(0, 40)));
    }
    window.values_.push_back(value);
    require_count(window.values_.size(), kSize, what);
  });
  return window;
}

Judgement Stability::judge(const StepState& state, double spike_z) {
  Judgement j{.skips = state.skipped_in_a_row, .whole_step = state.step - 1};
  if (state.skipped_in_a_row > 0) {
    j.whole_step = state.step - state.skipped_in_a_row;
    std::erase_if(recent_skips_, [&](std::int64_t step) { return step <= state.step - kRecentSteps; });
    recent_skips_.push_back(state.step);
    if (state.skipped_in_a_row >= kSkipsInARow) {
      j.trouble = Trouble::skips_in_a_row;
    } else if (std::ssize(recent_skips_) > kRecentSkips) {
      j.trouble = Trouble::many_skips;
      j.skips = std::ssize(recent_skips_);
    }
    return j;
  }
  j.loss_z = losses_.z_score(static_cast<double>(state.loss));
  j.norm_z = norms_.z_score(static_cast<double>(state.grad_norm));
  if (spike_z > 0 && std::max(j.loss_z, j.norm_z) > spike_z) j.trouble = Trouble::spike;
  losses_.add(state.loss);
  norms_.add(state.grad_norm);
  return j;
}

void Stability::count_rollback(std::int64_t rollbacks) {
  rollbacks_ = rollbacks;
  recent_skips_.clear();
}

void Stability::save_to(KeyValues& progress) const {
  std::string skips;
  for (const std::int64_t step : recent_skips_) skips.append(skips.empty() ? "" : " ").append(to_text(step));
  progress.set_integer("rollbacks", rollbacks_);
  progress.set_quoted("recent_skips", skips);
  progress.set_quoted("loss_window", losses_.to_text());
  progress.set_quoted("grad_norm_window", norms_.to_text());
}

void Stability::restore_from(const KeyValues& progress) {
  *this = Stability();
  if (!progress.has("rollbacks")) return;
  rollbacks_ = progress.get_integer("rollbacks");
  for_each_word(progress.get_quoted("recent_skips"), [&](std::string_view word) {
    recent_skips_.push_back(parse_integer(word, "recent_skips"));
    require_count(recent_skips_.size(), static_cast<std::size_t>(kRecentSkips), "recent_skips");
  });
  losses_ = SpikeWindow::from_text(progress.get_quoted("loss_window"), "loss_window");
  norms_ = SpikeWindow::from_text(progress.get_quoted("grad_norm_window"), "grad_norm_window");
}

}  // namespace zhgpt
