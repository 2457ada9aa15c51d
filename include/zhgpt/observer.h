// Observer: who is told what a backend does and how long it took. For `zhgpt bench` and `--profile`.
#pragma once

#include <chrono>

#include "zhgpt/cards.h"

namespace zhgpt {

struct Interval {
  using Clock = std::chrono::steady_clock;
  Clock::time_point begin, end;
  double ms() const { return std::chrono::duration<double, std::milli>(end - begin).count(); }
};

class Observer {
 public:
  enum class Place {
    training,
    saving
  };  // the thread that runs operations, or the one that writes checkpoints

  virtual ~Observer() = default;
  // An operation is done. On the thread that runs operations.
  virtual void on_operation(const OperationCost& cost, Interval time) = 0;
  // Thread `thread` of the CPU's had tiles of the operation for so long; comes before the operation's end,
  // once for each time that it shares out tiles. On the thread that runs operations.
  virtual void on_share(int /*thread*/, Interval /*time*/) {}
  // Something else is done: "evaluation", a literal. On the thread where it was.
  virtual void on_span(Place /*place*/, const char* /*what*/, Interval /*time*/) {}
};

// From here to the end of the scope, if anybody is to know.
class Span {
 public:
  Span(Observer* observer, Observer::Place place, const char* what)
      : observer_(observer), place_(place), what_(what) {
    if (observer_) begin_ = Interval::Clock::now();
  }
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;
  ~Span() {
    if (observer_) observer_->on_span(place_, what_, {begin_, Interval::Clock::now()});
  }

 private:
  Observer* observer_;
  Observer::Place place_;
  const char* what_;
  Interval::Clock::time_point begin_;
};

}  // namespace zhgpt
