// Stability: tells trouble in training from luck, by the states after the steps alone.
//
// What it remembers is saved with the run, so that a resumed run judges every step as one that never stopped.
// Only finite numbers are remembered: one NaN in a running sum would blind it for ever.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "zhgpt/key_values.h"
#include "zhgpt/ops.h"

namespace zhgpt {

// The last finite values of a series. The idea and the size are those of llm.c's outlier detector (A.
// Karpathy, 2024); it counts a value among those that it is compared with and keeps running sums, this does
// neither.
class SpikeWindow {
 public:
  static constexpr std::size_t kSize = 128;
  // By how many standard deviations `value` lies above the mean of the window; 0 until the window is full,
  // and while all in it are equal.
  double z_score(double value) const;
  void add(float value);  // REQUIRES: it is finite

  std::string to_text() const;  // oldest first, each the shortest text that reads back to the same bits
  static SpikeWindow from_text(std::string_view text, std::string_view what);  // throws ConfigError

 private:
  std::vector<float> values_;  // at most kSize, oldest first
};

enum class Trouble { none, skips_in_a_row, many_skips, spike };

struct Judgement {
  Trouble trouble = Trouble::none;
  double loss_z = 0, norm_z = 0;  // of the gradient's norm; 0 when the step was skipped
  std::int64_t skips = 0;         // those that make the trouble, or just this one
  std::int64_t whole_step = 0;    // the last step before the trouble
};

class Stability {
 public:
  static constexpr std::int64_t kSkipsInARow = 5;  // so many are trouble
  static constexpr std::int64_t kRecentSteps = 1000;
  static constexpr std::int64_t kRecentSkips =
      10;                                   // more than so many in the last kRecentSteps are trouble: 1 %
  static constexpr double kWorthANote = 6;  // standard deviations

  // The state after a step; every step once, in order. spike_z: beyond it a spike is trouble; 0: never.
  Judgement judge(const StepState& state, double spike_z);

  // The run went back: what was skipped until then is dealt with.
  void count_rollback(std::int64_t rollbacks);
  std::int64_t rollbacks() const { return rollbacks_; }

  void save_to(KeyValues& progress) const;
  // Entries that older programs did not write mean that nothing happened yet. Throws ConfigError.
  void restore_from(const KeyValues& progress);

 private:
  SpikeWindow losses_, norms_;
  std::vector<std::int64_t> recent_skips_;  // steps, ascending, of the last kRecentSteps
  std::int64_t rollbacks_ = 0;
};

}  // namespace zhgpt
