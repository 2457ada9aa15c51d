// Capturing streams as graphs, and replaying them.
#include "simt/faults.h"

namespace zhgpt::test {
namespace {

using namespace zhgpt::cuda;

__global__ void add_kernel(float* out, float value) {
  *out += value;
}
__global__ void double_kernel(float* out, const float* in) {
  *out = *in * 2;
}
__global__ void sum_kernel(float* out, const float* a, const float* b) {
  *out = *a + *b;
}

void begin(const Stream& stream, cudaStreamCaptureMode mode = cudaStreamCaptureModeThreadLocal) {
  check(cudaStreamBeginCapture(stream.get(), mode), "beginning a capture");
}

class Recorded {
 public:
  explicit Recorded(const Stream& stream) {
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(stream.get(), &graph), "ending a capture");
    check(cudaGraphInstantiate(&executable_, graph, 0), "instantiating a graph");
    check(cudaGraphDestroy(graph), "destroying a graph");
  }
  ~Recorded() { check_nothrow(cudaGraphExecDestroy(executable_), "destroying a graph"); }
  void launch(const Stream& stream) const {
    check(cudaGraphLaunch(executable_, stream.get()), "launching a graph");
  }

 private:
  cudaGraphExec_t executable_ = nullptr;
};

TEST(Graph, ReplaysWhatWasCapturedWithItsArguments) {
  for_each_seed([] {
    const DeviceArray<float> x({0.f}), y({0.f});
    Stream stream;
    begin(stream);
    float value = 3;
    ZHGPT_LAUNCH(stream, Cost{}, (LaunchShape{1, 1}), add_kernel, x.data(), value);
    value = 100;  // the graph has kept 3
    check(cudaMemcpyAsync(y.data(), x.data(), sizeof(float), cudaMemcpyDeviceToDevice, stream.get()),
          "copying");
    check(cudaMemsetAsync(x.data(), 0, sizeof(float), stream.get()), "filling");
    ZHGPT_LAUNCH(stream, Cost{}, (LaunchShape{1, 1}), add_kernel, x.data(), 1);
    const Recorded graph(stream);
    stream.synchronize();
    EXPECT_EQ(x.download()[0], 0.f);  // capturing does nothing

    graph.launch(stream);
    stream.synchronize();
    EXPECT_EQ(y.download()[0], 3.f);
    EXPECT_EQ(x.download()[0], 1.f);
    graph.launch(stream);
    graph.launch(stream);
    stream.synchronize();
    EXPECT_EQ(y.download()[0], 4.f);
  });
}

struct Event {
  Event() { check(cudaEventCreateWithFlags(&handle, cudaEventDisableTiming), "creating an event"); }
  ~Event() { check_nothrow(cudaEventDestroy(handle), "destroying an event"); }
  void order(const Stream& before, const Stream& after) const {
    check(cudaEventRecord(handle, before.get()), "recording");
    check(cudaStreamWaitEvent(after.get(), handle), "waiting");
  }
  cudaEvent_t handle = nullptr;
};

TEST(Graph, ForkedStreamsJoin) {
  for_each_seed([] {
    const DeviceArray<float> x({1.f}), left({0.f}), right({0.f}), out({0.f});
    Stream stream, other;
    const Event forked, joined;
    begin(stream);
    ZHGPT_LAUNCH(stream, Cost{}, (LaunchShape{1, 1}), add_kernel, x.data(), 1);
    forked.order(stream, other);
    ZHGPT_LAUNCH(stream, Cost{}, (LaunchShape{1, 1}), double_kernel, left.data(), x.data());
    ZHGPT_LAUNCH(other, Cost{}, (LaunchShape{1, 1}), double_kernel, right.data(), x.data());
    ZHGPT_LAUNCH(other, Cost{}, (LaunchShape{1, 1}), add_kernel, right.data(), 10);
    joined.order(other, stream);
    ZHGPT_LAUNCH(stream, Cost{}, (LaunchShape{1, 1}), sum_kernel, out.data(), left.data(), right.data());
    const Recorded graph(stream);
    graph.launch(stream);
    stream.synchronize();
    EXPECT_EQ(out.download()[0], 18.f);
    // The other stream is free again.
    ZHGPT_LAUNCH(other, Cost{}, (LaunchShape{1, 1}), add_kernel, out.data(), 1);
    other.synchronize();
    EXPECT_EQ(out.download()[0], 19.f);
  });
}

TEST(Graph, ForkedStreamThatNeverJoinsIsAnError) {
  const DeviceArray<float> x({1.f});
  Stream stream, other;
  const Event forked;
  begin(stream);
  forked.order(stream, other);
  ZHGPT_LAUNCH(other, Cost{}, (LaunchShape{1, 1}), add_kernel, x.data(), 1);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(other.get(), &graph), cudaErrorStreamCaptureUnmatched);
  EXPECT_EQ(cudaStreamEndCapture(stream.get(), &graph), cudaErrorStreamCaptureUnjoined);
  EXPECT_EQ(graph, nullptr);
}

TEST(Graph, CallsThatWaitOrAllocateBreakACapture) {
  const DeviceArray<float> x({1.f});
  float host = 0;
  float* memory = nullptr;
  Stream stream;
  const Event event;
  const std::vector<std::pair<const char*, std::function<cudaError_t()>>> calls = {
      {"cudaMalloc", [&] { return cudaMalloc(reinterpret_cast<void**>(&memory), 4); }},
      {"cudaFree", [&] { return cudaFree(x.data()); }},
      {"cudaStreamSynchronize", [&] { return cudaStreamSynchronize(stream.get()); }},
      {"cudaStreamQuery", [&] { return cudaStreamQuery(stream.get()); }},
      {"cudaDeviceSynchronize", [&] { return cudaDeviceSynchronize(); }},
      {"cudaMemcpy", [&] { return cudaMemcpy(&host, x.data(), 4, cudaMemcpyDeviceToHost); }},
      {"cudaMemset", [&] { return cudaMemset(x.data(), 0, 4); }},
      {"pageable copy",
       [&] { return cudaMemcpyAsync(&host, x.data(), 4, cudaMemcpyDeviceToHost, stream.get()); }},
      {"cudaStreamBeginCapture",
       [&] { return cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal); }},
  };
  for (const auto& [name, call] : calls) {
    SCOPED_TRACE(name);
    begin(stream);
    EXPECT_EQ(call(), cudaErrorStreamCaptureUnsupported);
    cudaStreamCaptureStatus status;
    EXPECT_EQ(cudaStreamIsCapturing(stream.get(), &status), cudaSuccess);
    EXPECT_EQ(status, cudaStreamCaptureStatusInvalidated);
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream.get(), &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
  }
  EXPECT_EQ(x.download()[0], 1.f);
  (void)cudaGetLastError();
}

TEST(Graph, RelaxedCaptureAllowsAllocating) {
  Stream stream;
  begin(stream, cudaStreamCaptureModeRelaxed);
  float* memory = nullptr;
  EXPECT_EQ(cudaMalloc(reinterpret_cast<void**>(&memory), 4), cudaSuccess);
  const Recorded empty(stream);
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
}

TEST(Graph, CaptureMustNotDependOnWorkOutsideIt) {
  Stream stream, other;
  const Event event;
  check(cudaEventRecord(event.handle, other.get()), "recording");
  begin(stream);
  EXPECT_EQ(cudaStreamWaitEvent(stream.get(), event.handle), cudaErrorStreamCaptureIsolation);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream.get(), &graph), cudaErrorStreamCaptureInvalidated);
  (void)cudaGetLastError();
}

}  // namespace
}  // namespace zhgpt::test
