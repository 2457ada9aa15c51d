// CudaBackend: the device, its memory, and operations on its stream.
#include "cuda/cuda_backend.h"

#include <cuda_runtime_api.h>

#include "cuda/device_copy.h"
#include "cuda/dispatch.h"
#include "cuda/error.h"
#include "cuda/feed.h"
#include "cuda/graph.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

constexpr int kOldestMajor = 8;  // sm_80: bf16 in tensor cores, asynchronous copies to shared memory

// Makes the device current for this thread and returns its name.
std::string open_device(int ordinal) {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();  // forgotten: no driver or no device is an answer here
    count = 0;
  }
  if (ordinal < 0 || ordinal >= count) throw DeviceError(tr(Msg::no_such_cuda_device, ordinal, count));
  cuda::check(cudaSetDevice(ordinal), "cudaSetDevice");
  cudaDeviceProp properties{};
  cuda::check(cudaGetDeviceProperties(&properties, ordinal), "cudaGetDeviceProperties");
  const std::string name = "cuda:" + std::to_string(ordinal) + ", " + properties.name;
  if (properties.major < kOldestMajor) {
    throw DeviceError(tr(Msg::cuda_device_too_old, name, properties.major, properties.minor, kOldestMajor));
  }
  return name;
}

std::size_t size_of(std::int64_t bytes) {
  return static_cast<std::size_t>(bytes);
}

}  // namespace

CudaBackend::CudaBackend(int ordinal, const CudaOptions& options)
    : name_(open_device(ordinal)),
      matmul_(cuda::make_matmul(options, false)),
      scratch_(stream_),
      cudnn_attention_(options.cudnn_attention ? cuda::make_cudnn_attention(options.deterministic) : nullptr),
      context_{stream_, *matmul_, scratch_, cudnn_attention_.get()} {}

CudaBackend::~CudaBackend() {
  cuda::check_nothrow(cudaStreamSynchronize(stream_.get()), "end of the CUDA backend");
}

void CudaBackend::upload(void* device, const void* host, std::int64_t bytes) {
  cuda::check(cudaMemcpyAsync(device, host, size_of(bytes), cudaMemcpyHostToDevice, stream_.get()), "upload");
  stream_.synchronize();  // the caller may change `host` at once
}

void CudaBackend::download(void* host, const void* device, std::int64_t bytes) {
  cuda::check(cudaMemcpyAsync(host, device, size_of(bytes), cudaMemcpyDeviceToHost, stream_.get()),
              "download");
  stream_.synchronize();
}

void CudaBackend::copy(void* to_device, const void* from_device, std::int64_t bytes) {
  cuda::check(
      cudaMemcpyAsync(to_device, from_device, size_of(bytes), cudaMemcpyDeviceToDevice, stream_.get()),
      "copy");
}

void CudaBackend::zero_bytes(void* device, std::int64_t bytes) {
  current_->stream.zero(device, size_of(bytes));
}

void CudaBackend::synchronize() {
  stream_.synchronize();
}

Measured CudaBackend::measure(const std::function<void()>& before, const std::function<void()>& operations) {
  const cuda::TimedEvent start, end;
  cuda::Ledger ledger;
  before();
  start.record(stream_);
  {
    const cuda::LedgerScope scope(stream_, ledger);
    operations();
  }
  end.record(stream_);
  stream_.synchronize();
  const cuda::Cost total = ledger.total();
  return {
      .ms = end.ms_since(start), .launches = ledger.kernels(), .flops = total.flops, .bytes = total.bytes};
}

std::unique_ptr<Recording> CudaBackend::record(std::function<void()> operations) {
  return std::make_unique<cuda::GraphRecording>(context_, std::move(operations));
}

std::unique_ptr<Readback> CudaBackend::make_readback(std::int64_t bytes, const char*) {
  return std::make_unique<cuda::EventReadback>(stream_, bytes);
}

std::unique_ptr<DeviceCopy> CudaBackend::make_device_copy(std::vector<Tensor> of, std::int64_t piece_bytes,
                                                          const char* what) {
  Buffer memory = allocate(bytes_of(of), what);
  return std::make_unique<cuda::PinnedCopy>(stream_, std::move(memory), std::move(of), piece_bytes);
}

std::unique_ptr<Feed> CudaBackend::make_feed(void* device, std::int64_t slot_bytes) {
  return std::make_unique<cuda::PinnedFeed>(stream_, device, slot_bytes);
}

std::int64_t CudaBackend::free_memory_bytes() const {
  std::size_t free_bytes = 0, total_bytes = 0;
  cuda::check(cudaMemGetInfo(&free_bytes, &total_bytes), "cudaMemGetInfo");
  return static_cast<std::int64_t>(free_bytes);
}

// On a dry stream the operations do nothing but ask for scratch memory, which is the real one.
void CudaBackend::reserve(const std::function<void()>& operations) {
  cuda::Stream dry(cuda::Stream::Mode::dry);
  const auto no_products = cuda::make_matmul({}, true);
  cuda::Context asking{dry, *no_products, scratch_, cudnn_attention_.get()};
  current_ = &asking;
  try {
    operations();
  } catch (...) {
    current_ = &context_;
    throw;
  }
  current_ = &context_;
}

std::vector<MemoryUse> CudaBackend::working_memory() const {
  return {{"workspace of products", matmul_->workspace_bytes()}, {"scratch memory", scratch_.bytes()}};
}

void* CudaBackend::allocate_bytes(std::int64_t bytes) {
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, size_of(bytes));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // forgotten: the caller says it better
    return nullptr;
  }
  cuda::check(status, "cudaMalloc");
  zero_bytes(data, bytes);
  return data;
}

void CudaBackend::free_bytes(void* data) noexcept {
  cuda::check_nothrow(cudaStreamSynchronize(stream_.get()),
                      "release of memory");  // what was launched may use it
  cuda::check_nothrow(cudaFree(data), "release of memory");
}

#define ZHGPT_EXECUTE(Op)                   \
  void CudaBackend::execute(const Op& op) { \
    cuda::dispatch(*current_, op);          \
  }
ZHGPT_FOR_EACH_OP(ZHGPT_EXECUTE)
#undef ZHGPT_EXECUTE

bool cuda_present() {
  int count = 0;
  const bool usable = cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
  cudaGetLastError();
  return usable;
}

std::unique_ptr<Backend> make_cuda_backend(int ordinal, const CudaOptions& options) {
  return std::make_unique<CudaBackend>(ordinal, options);
}

}  // namespace zhgpt
