// Capturing what is put on streams as a graph, and replaying it.
#include <algorithm>
#include <utility>

#include "simt/device_fault.h"
#include "simt/settings.h"
#include "simt/stream.h"

namespace zhgpt::simt {
namespace {

// Does every node come before the origin's end? If not, a stream was forked off and never joined.
bool all_joined(const Capture& capture) {
  std::vector<bool> joined(capture.graph.nodes.size(), false);
  std::vector<std::size_t> open = capture.origin->tail;
  while (!open.empty()) {
    const std::size_t node = open.back();
    open.pop_back();
    if (joined[node]) continue;
    joined[node] = true;
    const auto& after = capture.graph.nodes[node].after;
    open.insert(open.end(), after.begin(), after.end());
  }
  return std::find(joined.begin(), joined.end(), false) == joined.end();
}

}  // namespace

void begin_capture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  stream->capture = std::make_shared<Capture>(Capture{{}, stream, mode == cudaStreamCaptureModeRelaxed});
  stream->tail.clear();
}

cudaError_t end_capture(cudaStream_t stream, cudaGraph_t* graph) {
  const std::shared_ptr<Capture> capture = stream->capture;
  if (!capture || capture->origin != stream) return cudaErrorStreamCaptureUnmatched;
  const bool joined = all_joined(*capture);
  for (const cudaStream_t other : streams()) {
    if (other->capture != capture) continue;
    other->capture = nullptr;
    other->tail.clear();
  }
  capture->ended = true;
  *graph = nullptr;
  if (capture->broken) return cudaErrorStreamCaptureInvalidated;
  if (!joined) return cudaErrorStreamCaptureUnjoined;
  *graph = new CUgraph_st{std::move(capture->graph)};
  return cudaSuccess;
}

void run_graph(const Graph& graph) {
  std::vector<bool> done(graph.nodes.size(), false);
  const auto can_run = [&](std::size_t node) {
    const auto& after = graph.nodes[node].after;
    return !done[node] &&
           std::all_of(after.begin(), after.end(), [&](std::size_t earlier) { return done[earlier]; });
  };
  for (std::size_t count = 0; count < done.size() && device_fault().empty(); ++count) {
    std::vector<std::size_t> candidates;
    for (std::size_t node = 0; node < done.size(); ++node) {
      if (can_run(node)) candidates.push_back(node);
    }
    const std::size_t node = candidates[choose(candidates.size())];
    graph.nodes[node].work();
    done[node] = true;
  }
}

}  // namespace zhgpt::simt
