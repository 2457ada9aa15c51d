// Lazy streams: what nobody waited for has not happened yet.
#include <cmath>
#include <cstring>
#include <set>

#include "simt/faults.h"

namespace zhgpt::test {
namespace {

using namespace zhgpt::cuda;

__global__ void set_kernel(float* out, float value) {
  *out = value;
}
__global__ void add_kernel(float* out, const float* in) {
  *out = *in + 1;
}
__global__ void fail_kernel() {
  if (threadIdx.x == 0) __syncthreads();
}

void put_set(Stream& stream, const DeviceArray<float>& out, float value) {
  ZHGPT_LAUNCH(stream, Cost{}, (LaunchShape{1, 1}), set_kernel, out.data(), value);
}
void put_add(Stream& stream, const DeviceArray<float>& out, const DeviceArray<float>& in) {
  ZHGPT_LAUNCH(stream, Cost{}, (LaunchShape{1, 1}), add_kernel, out.data(), in.data());
}

// One float of page-locked host memory.
struct Pinned {
  explicit Pinned(float x) {
    check(cudaMallocHost(reinterpret_cast<void**>(&value), sizeof(float)), "allocating");
    *value = x;
  }
  ~Pinned() { check_nothrow(cudaFreeHost(value), "freeing"); }
  float* value = nullptr;
};

struct Event {
  Event() { check(cudaEventCreate(&handle), "creating an event"); }
  ~Event() { check_nothrow(cudaEventDestroy(handle), "destroying an event"); }
  cudaEvent_t handle = nullptr;
};

TEST(LazyStream, NothingHappensBeforeSomebodyWaits) {
  for_each_seed([] {
    const DeviceArray<float> x({0.f});
    const Pinned result(-1);
    Stream stream;
    put_set(stream, x, 5);
    check(cudaMemcpyAsync(result.value, x.data(), sizeof(float), cudaMemcpyDeviceToHost, stream.get()),
          "copying");
    EXPECT_EQ(*result.value, -1.f);  // a program that reads now has forgotten to synchronise
    stream.synchronize();
    EXPECT_EQ(*result.value, 5.f);
  });
}

TEST(LazyStream, BlockingCopyDoesNotWaitForANonBlockingStream) {
  const DeviceArray<float> x({0.f});
  Stream stream;
  put_set(stream, x, 5);
  EXPECT_EQ(x.download()[0], 0.f);
  stream.synchronize();
  EXPECT_EQ(x.download()[0], 5.f);
}

TEST(LazyStream, BlockingCopyWaitsForABlockingStream) {
  const DeviceArray<float> x({0.f});
  cudaStream_t stream;
  check(cudaStreamCreate(&stream), "creating a stream");
  check(cudaMemsetAsync(x.data(), 0xff, sizeof(float), stream), "filling");
  EXPECT_TRUE(std::isnan(x.download()[0]));
  check(cudaStreamDestroy(stream), "destroying a stream");
}

// What y becomes in one stream depends on x from another.
std::set<float> results_of_two_streams(bool with_event) {
  std::set<float> results;
  for_each_seed([&] {
    const DeviceArray<float> x({0.f}), y({0.f});
    Stream producer, consumer;
    const Event ready;
    put_set(producer, x, 5);
    if (with_event) {
      check(cudaEventRecord(ready.handle, producer.get()), "recording");
      check(cudaStreamWaitEvent(consumer.get(), ready.handle), "waiting");
    }
    put_add(consumer, y, x);
    consumer.synchronize();
    results.insert(y.download()[0]);
    producer.synchronize();
  });
  return results;
}
TEST(LazyStream, MissingEventBetweenStreamsShows) {
  EXPECT_EQ(results_of_two_streams(false), (std::set<float>{1, 6}));
}
TEST(LazyStream, EventOrdersStreams) {
  EXPECT_EQ(results_of_two_streams(true), std::set<float>{6});
}

TEST(LazyStream, EventIsReachedByPolling) {
  const DeviceArray<float> x({0.f});
  Stream stream;
  const Event end;
  for (int i = 0; i < 3; ++i) put_set(stream, x, static_cast<float>(i));
  check(cudaEventRecord(end.handle, stream.get()), "recording");
  int polls = 0;
  while (cudaEventQuery(end.handle) == cudaErrorNotReady) ++polls;
  EXPECT_EQ(polls, 3);
  EXPECT_EQ(x.download()[0], 2.f);
  EXPECT_EQ(cudaStreamQuery(stream.get()), cudaSuccess);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);  // not being ready is no error
}

TEST(LazyStream, EventMeansTheMomentOfItsRecord) {
  const DeviceArray<float> x({0.f});
  Stream stream;
  const Event first, second;
  put_set(stream, x, 1);
  check(cudaEventRecord(first.handle, stream.get()), "recording");
  put_set(stream, x, 2);
  check(cudaEventRecord(second.handle, stream.get()), "recording");
  check(cudaEventSynchronize(first.handle), "waiting");
  EXPECT_EQ(x.download()[0], 1.f);
  float ms = 0;
  EXPECT_EQ(cudaEventElapsedTime(&ms, first.handle, second.handle), cudaErrorNotReady);
  check(cudaEventSynchronize(second.handle), "waiting");
  EXPECT_EQ(x.download()[0], 2.f);
  EXPECT_EQ(cudaEventElapsedTime(&ms, first.handle, second.handle), cudaSuccess);
  EXPECT_GE(ms, 0.f);
}

TEST(LazyStream, PageableSourceIsReadAtOnceAndPinnedOneLate) {
  const DeviceArray<float> x({0.f}), y({0.f});
  const Pinned pinned(1);
  float pageable = 1;
  Stream stream;
  check(cudaMemcpyAsync(x.data(), &pageable, sizeof(float), cudaMemcpyHostToDevice, stream.get()), "copying");
  check(cudaMemcpyAsync(y.data(), pinned.value, sizeof(float), cudaMemcpyHostToDevice, stream.get()),
        "copying");
  pageable = *pinned.value = 2;
  stream.synchronize();
  EXPECT_EQ(x.download()[0], 1.f);
  EXPECT_EQ(y.download()[0], 2.f);
}

TEST(LazyStream, FaultIsFoundByWhoeverWaitsAndStays) {
  Stream stream;
  ZHGPT_LAUNCH(stream, Cost{}, (LaunchShape{1, 32}), fail_kernel);
  try {
    stream.synchronize();
    FAIL() << "the fault went unseen";
  } catch (const DeviceError& error) {
    EXPECT_TRUE(
        says(error.what(), {"fail_kernel", "threads 0..0: __syncthreads", "threads 1..31: returned"}));
  }
  float* x = nullptr;
  EXPECT_EQ(cudaMalloc(reinterpret_cast<void**>(&x), 4), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaDeviceReset(), cudaSuccess);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  const DeviceArray<float> works({1.f});
}

}  // namespace
}  // namespace zhgpt::test
