#include "zhgpt/profile.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string_view>

#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

using namespace std::string_view_literals;

// Rows of the trace: the thread that trains, the one that saves, and the CPU's threads from kThreads on.
constexpr int kTraining = 0, kSaving = 1, kThreads = 2;

double us_between(Interval::Clock::time_point begin, Interval::Clock::time_point end) {
  return std::chrono::duration<double, std::micro>(end - begin).count();
}

Phase phase_of(std::string_view operation) {
  if (operation == "GatherBatch"sv) return Phase::data;
  if (operation == "HeadLoss"sv || operation == "AccumulateLoss"sv) return Phase::head;
  for (const std::string_view part : {"BeginStep"sv, "GlobalNorm"sv, "AdamW"sv, "AdvanceStep"sv}) {
    if (operation == part) return Phase::optimizer;
  }
  const bool is_backward = operation.find("Backward") != std::string_view::npos;
  return is_backward || operation == "zero"sv ? Phase::backward
                                              : Phase::forward;  // gradients are set to zero
}

// Of a span in which no operation counts for itself; `other`: of one that only has operations in it.
Phase phase_of_span(std::string_view what) {
  return what == "data"sv         ? Phase::data
         : what == "evaluation"sv ? Phase::evaluation
         : what == "sample"sv     ? Phase::sample
         : what == "save"sv       ? Phase::save
                                  : Phase::other;
}

std::string row_name(int row, const char* name) {
  return "{\"ph\":\"M\",\"pid\":1,\"tid\":" + std::to_string(row) +
         ",\"name\":\"thread_name\",\"args\":{\"name\":\"" + name + "\"}}";
}

}  // namespace

Profile::Profile(const std::string& path, std::int64_t steps)
    : file_(path, AtomicFile::Existing::refuse), steps_(steps) {}

void Profile::start() {
  watched_.begin = Interval::Clock::now();
}

void Profile::on_operation(const OperationCost& cost, Interval time) {
  operations_.push_back({cost.operation, kTraining, time, cost.flops, cost.bytes});
  for (; named_shares_ < shares_.size(); ++named_shares_) shares_[named_shares_].name = cost.operation;
}

void Profile::on_share(int thread, Interval time) {
  shares_.push_back({"", kThreads + thread, time});
}

void Profile::on_span(Place place, const char* what, Interval time) {
  const std::lock_guard lock(mutex_);
  spans_.push_back({what, place == Place::training ? kTraining : kSaving, time});
}

std::int64_t Profile::steps_seen() const {
  return std::count_if(spans_.begin(), spans_.end(), [](const Event& span) { return span.name == "step"sv; });
}

bool Profile::is_within_span(const Event& operation) const {
  return std::any_of(spans_.begin(), spans_.end(), [&](const Event& span) {
    return span.row == kTraining && phase_of_span(span.name) != Phase::other &&
           span.time.begin <= operation.time.begin && operation.time.end <= span.time.end;
  });
}

std::array<double, kPhases> Profile::ms_by_phase() const {
  std::array<double, kPhases> ms{};
  const auto of = [&](Phase phase) -> double& { return ms[static_cast<std::size_t>(phase)]; };
  for (const Event& operation : operations_) {
    if (!is_within_span(operation)) of(phase_of(operation.name)) += operation.time.ms();
  }
  for (const Event& span : spans_) {
    const Phase phase = phase_of_span(span.name);
    if (span.row == kTraining && phase != Phase::other) of(phase) += span.time.ms();
  }
  double known = 0;
  for (const double part : ms) known += part;
  of(Phase::other) = std::max(0.0, watched_.ms() - known);
  return ms;
}

// "X" is a complete event, with its beginning and duration in microseconds.
std::string Profile::line(const Event& event) const {
  const double us = us_between(event.time.begin, event.time.end);
  char text[320];
  const int length = std::snprintf(
      text, sizeof text, "{\"ph\":\"X\",\"pid\":1,\"tid\":%d,\"name\":\"%s\",\"ts\":%.3f,\"dur\":%.3f",
      event.row, event.name, us_between(watched_.begin, event.time.begin), us);
  std::string line(text, static_cast<std::size_t>(length));
  if (event.bytes > 0 && us > 0) {
    std::snprintf(text, sizeof text, ",\"args\":{\"GFLOP/s\":%.3f,\"GB/s\":%.3f}", event.flops / us * 1e-3,
                  event.bytes / us * 1e-3);
    line += text;
  }
  return line + "}";
}

void Profile::finish() {
  watched_.end = Interval::Clock::now();
  std::string text = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n" + row_name(kTraining, "training") +
                     ",\n" + row_name(kSaving, "saving");
  int threads = 0;
  for (const Event& share : shares_) threads = std::max(threads, share.row - kThreads + 1);
  for (int thread = 0; thread < threads; ++thread) {
    text += ",\n" + row_name(kThreads + thread, ("CPU thread " + std::to_string(thread)).c_str());
  }
  for (const std::vector<Event>* events : {&spans_, &operations_, &shares_}) {
    for (const Event& event : *events) text += ",\n" + line(event);
  }
  file_.write(text + "\n]}\n");
  file_.commit();
}

}  // namespace zhgpt
