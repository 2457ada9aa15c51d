// Streams, events and graphs as the stand-in for the CUDA runtime has them.
//
// Streams are lazy: what is put on one is kept as a closure and done when somebody waits for it, so that a
// missing synchronisation shows. Waiting runs what is needed and nothing else (seed 0), all other streams'
// work before it (seed 1), or any mixture (2 and more).
#pragma once

#include <cuda_runtime_api.h>

#include <deque>
#include <functional>
#include <memory>
#include <vector>

namespace zhgpt::simt {

using Work = std::function<void()>;

// A point in a stream that can be waited for.
struct Completion {
  bool done = false;
  double at_ms = 0;  // host time when it was reached
};
using CompletionPtr = std::shared_ptr<Completion>;

struct Graph {
  struct Node {
    Work work;
    std::vector<std::size_t> after;  // earlier nodes
  };
  std::vector<Node> nodes;
};
// Does the work of every node, each after those it depends on, otherwise in any order.
void run_graph(const Graph& graph);

struct Capture {
  Graph graph;
  cudaStream_t origin;
  bool relaxed;         // cudaStreamCaptureModeRelaxed: calls that could wait are the caller's risk
  bool broken = false;  // by a call that a capture forbids
  bool ended = false;
};

}  // namespace zhgpt::simt

struct CUstream_st {
  struct Task {
    zhgpt::simt::Work work;
    zhgpt::simt::CompletionPtr after;  // may be absent
    zhgpt::simt::CompletionPtr completion;
  };
  bool blocking;  // blocking calls without a stream (cudaMemcpy) wait for it
  std::deque<Task> tasks;
  std::shared_ptr<zhgpt::simt::Capture> capture;  // while this stream takes part in one
  std::vector<std::size_t> tail;                  // nodes that its next one comes after
};

struct CUevent_st {
  bool timed;
  zhgpt::simt::CompletionPtr completion;          // of the last record, or
  std::shared_ptr<zhgpt::simt::Capture> capture;  // the capture it was recorded in, and
  std::vector<std::size_t> nodes;                 // what came before it there
};

struct CUgraph_st : zhgpt::simt::Graph {};
struct CUgraphExec_st : zhgpt::simt::Graph {};

namespace zhgpt::simt {

cudaStream_t create_stream(bool blocking);
void destroy_stream(cudaStream_t stream);
bool is_stream(cudaStream_t stream);  // the null stream is none: every call names its stream
const std::vector<cudaStream_t>& streams();
void drop_all_work();  // after a fault

// Puts work on the stream, or makes it a node of the stream's capture.
void submit(cudaStream_t stream, Work work);

void run_until(const CompletionPtr& goal);
void step_towards(const CompletionPtr& goal);  // one piece of work, as polling would allow
void drain(cudaStream_t stream);
CompletionPtr last_of(cudaStream_t stream);  // nullptr when nothing is left to do

void record(cudaEvent_t event, cudaStream_t stream);
cudaError_t wait(cudaStream_t stream, cudaEvent_t event);

void begin_capture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t end_capture(cudaStream_t stream, cudaGraph_t* graph);

}  // namespace zhgpt::simt
