// Profile: a few steps of a run as a Chrome trace, and where their time went by phase.
//
// The trace is JSON, "Trace Event Format" (Google, 2016), as Perfetto and chrome://tracing open it: a row for
// the thread that trains (steps, operations, evaluations, saves), one for each of the CPU's threads (when it
// had tiles of an operation), one for the thread that writes checkpoints.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "zhgpt/atomic_file.h"
#include "zhgpt/observer.h"

namespace zhgpt {

// forward counts what --recompute computes again; head is the loss with the gradients it gives in one pass.
enum class Phase { data, forward, head, backward, optimizer, evaluation, sample, save, other };
constexpr std::size_t kPhases = 9;

class Profile final : public Observer {
 public:
  static constexpr std::int64_t kWarmUpSteps = 5;  // of a run before it is watched

  // Begins the file at once, so that a path where none can be is known before the training. What is there is
  // never replaced: it may be a corpus. Throws IoError.
  Profile(const std::string& path, std::int64_t steps);

  const std::string& path() const { return file_.path(); }
  std::int64_t steps() const { return steps_; }  // to watch

  void start();  // what is watched begins now
  // It ended now: makes the file durable under its name. REQUIRES: nobody tells anything any more. Throws
  // IoError.
  void finish();
  std::int64_t steps_seen() const;
  std::array<double, kPhases> ms_by_phase() const;  // of all between start and finish

  void on_operation(const OperationCost& cost, Interval time) override;
  void on_share(int thread, Interval time) override;
  void on_span(Place place, const char* what, Interval time) override;

 private:
  struct Event {
    const char* name;
    int row;
    Interval time;
    double flops = 0, bytes = 0;
  };
  bool is_within_span(const Event& operation) const;
  std::string line(const Event& event) const;

  AtomicFile file_;
  const std::int64_t steps_;
  Interval watched_{};
  std::mutex mutex_;  // the thread that saves tells of itself
  std::vector<Event> operations_, shares_, spans_;
  std::size_t named_shares_ = 0;  // of operations that have ended
};

}  // namespace zhgpt
