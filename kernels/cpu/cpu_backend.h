// CpuBackend: host memory and the operations of kernels/cpu, in f32 or f64. Calls are synchronous, and
// results are bit-identical for any number of threads.
#pragma once

#include "cpu/context.h"
#include "zhgpt/backend.h"

namespace zhgpt {

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(int threads);  // REQUIRES: threads >= 1

  std::string name() const override;
  bool computes_in(DType dtype) const override { return dtype == DType::f32 || dtype == DType::f64; }
  bool reads_host_memory() const override { return true; }
  bool packs_weights() const override { return true; }
  std::int64_t free_memory_bytes() const override;
  void reserve(const std::function<void()>& operations) override;
  void upload(void* device, const void* host, std::int64_t bytes) override;
  void download(void* host, const void* device, std::int64_t bytes) override;
  void copy(void* to_device, const void* from_device, std::int64_t bytes) override;
  void synchronize() override {}
  void observe(Observer* observer) override;
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

  cpu::Context context_;
};

}  // namespace zhgpt
