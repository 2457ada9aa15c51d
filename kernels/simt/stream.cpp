#include "simt/stream.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "simt/device_fault.h"
#include "simt/region.h"
#include "simt/settings.h"

namespace zhgpt::simt {
namespace {

std::vector<cudaStream_t>& all_streams() {
  static std::vector<cudaStream_t> instance;
  return instance;
}

bool can_run(const CUstream_st::Task& task) {
  return !task.after || task.after->done;
}

void run_first_task(cudaStream_t stream) {
  const CUstream_st::Task task = std::move(stream->tasks.front());
  stream->tasks.pop_front();
  if (task.work) {
    device_region().open();
    task.work();
    device_region().close();
  }
  if (!device_fault().empty()) {
    drop_all_work();
    return;
  }
  task.completion->done = true;
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  task.completion->at_ms = std::chrono::duration<double, std::milli>(now).count();
}

// The stream whose first task is the next that `goal` needs. Waits refer to what was put on a stream before
// them, so this ends.
cudaStream_t next_towards(CompletionPtr goal) {
  for (;;) {
    const auto holds_goal = [&](cudaStream_t stream) {
      return std::any_of(stream->tasks.begin(), stream->tasks.end(),
                         [&](const auto& task) { return task.completion == goal; });
    };
    const cudaStream_t stream = *std::find_if(streams().begin(), streams().end(), holds_goal);
    const CUstream_st::Task& first = stream->tasks.front();
    if (can_run(first)) return stream;
    goal = first.after;
  }
}

void put(cudaStream_t stream, Work work, CompletionPtr after) {
  stream->tasks.push_back({std::move(work), std::move(after), std::make_shared<Completion>()});
}

}  // namespace

const std::vector<cudaStream_t>& streams() {
  return all_streams();
}

cudaStream_t create_stream(bool blocking) {
  all_streams().push_back(new CUstream_st{blocking, {}, nullptr, {}});
  return all_streams().back();
}

void destroy_stream(cudaStream_t stream) {
  drain(stream);
  std::erase(all_streams(), stream);
  delete stream;
}

bool is_stream(cudaStream_t stream) {
  return std::find(streams().begin(), streams().end(), stream) != streams().end();
}

void drop_all_work() {
  for (const cudaStream_t stream : streams()) stream->tasks.clear();
}

void submit(cudaStream_t stream, Work work) {
  if (stream->capture) {
    auto& nodes = stream->capture->graph.nodes;
    nodes.push_back({std::move(work), stream->tail});
    stream->tail = {nodes.size() - 1};
  } else {
    put(stream, std::move(work), nullptr);
  }
}

void step_towards(const CompletionPtr& goal) {
  std::vector<cudaStream_t> candidates{next_towards(goal)};
  for (const cudaStream_t stream : streams()) {
    if (stream != candidates[0] && !stream->tasks.empty() && can_run(stream->tasks.front())) {
      candidates.push_back(stream);
    }
  }
  run_first_task(candidates[choose(candidates.size())]);
}

void run_until(const CompletionPtr& goal) {
  while (goal && !goal->done && device_fault().empty()) step_towards(goal);
}

CompletionPtr last_of(cudaStream_t stream) {
  return stream->tasks.empty() ? nullptr : stream->tasks.back().completion;
}
void drain(cudaStream_t stream) {
  run_until(last_of(stream));
}

void record(cudaEvent_t event, cudaStream_t stream) {
  event->capture = stream->capture;
  event->nodes = stream->tail;
  event->completion = nullptr;
  if (stream->capture) return;
  put(stream, nullptr, nullptr);
  event->completion = last_of(stream);
}

cudaError_t wait(cudaStream_t stream, cudaEvent_t event) {
  if (event->capture) {
    if (event->capture->ended) return cudaErrorInvalidValue;
    if (stream->capture && stream->capture != event->capture) return cudaErrorStreamCaptureMerge;
    stream->capture = event->capture;
    stream->tail.insert(stream->tail.end(), event->nodes.begin(), event->nodes.end());
  } else if (stream->capture) {
    return cudaErrorStreamCaptureIsolation;
  } else if (event->completion) {
    put(stream, nullptr, event->completion);
  }
  return cudaSuccess;
}

}  // namespace zhgpt::simt
