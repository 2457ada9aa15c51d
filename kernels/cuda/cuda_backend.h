// CudaBackend: the memory of one GPU and the operations of kernels/cuda on one stream, in f32 or bf16.
//
// Everything is put on the stream and runs in order; the host waits only in upload, download, synchronize,
// Readback::wait and DeviceCopy::read. Results are bit-identical from run to run on one kind of device.
#pragma once

#include "cuda/attention_cudnn.h"
#include "cuda/context.h"
#include "zhgpt/backend.h"

namespace zhgpt {

class CudaBackend final : public Backend {
 public:
  // Throws DeviceError when there is no such device or it is older than sm_80.
  CudaBackend(int ordinal, const CudaOptions& options);
  ~CudaBackend() override;

  std::string name() const override { return name_; }
  bool computes_in(DType dtype) const override { return dtype == DType::f32 || dtype == DType::bf16; }
  std::int64_t free_memory_bytes() const override;
  void reserve(const std::function<void()>& operations) override;
  void upload(void* device, const void* host, std::int64_t bytes) override;
  void download(void* host, const void* device, std::int64_t bytes) override;
  void copy(void* to_device, const void* from_device, std::int64_t bytes) override;
  void synchronize() override;
  Measured measure(const std::function<void()>& before, const std::function<void()>& operations) override;
  std::unique_ptr<Recording> record(std::function<void()> operations) override;
  std::unique_ptr<Readback> make_readback(std::int64_t bytes, const char* what) override;
  std::unique_ptr<DeviceCopy> make_device_copy(std::vector<Tensor> of, std::int64_t piece_bytes,
                                               const char* what) override;
  std::unique_ptr<Feed> make_feed(void* device, std::int64_t slot_bytes) override;

 private:
  void zero_bytes(void* device, std::int64_t bytes) override;
  void* allocate_bytes(std::int64_t bytes) override;
  void free_bytes(void* data) noexcept override;
  std::vector<MemoryUse> working_memory() const override;

#define ZHGPT_EXECUTE(Op) void execute(const Op& op) override;
  ZHGPT_FOR_EACH_OP(ZHGPT_EXECUTE)
#undef ZHGPT_EXECUTE

  std::string name_;
  cuda::Stream stream_;
  std::unique_ptr<cuda::Matmul> matmul_;
  cuda::Scratch scratch_;
  std::unique_ptr<cuda::CudnnAttention> cudnn_attention_;  // if the options ask for it
  cuda::Context context_;
  cuda::Context* current_ = &context_;  // another while memory is reserved
};

}  // namespace zhgpt
