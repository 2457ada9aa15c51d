// All of a backend but its operations, handed on to another: what stands between a caller and the CPU.
#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "zhgpt/backend.h"

namespace zhgpt::test {

class ForwardingBackend : public Backend {
 public:
  std::string name() const override { return cpu_->name(); }
  bool computes_in(DType dtype) const override { return cpu_->computes_in(dtype); }
  std::int64_t free_memory_bytes() const override { return cpu_->free_memory_bytes(); }
  void reserve(const std::function<void()>& run) override { cpu_->reserve(run); }
  void upload(void* to, const void* from, std::int64_t bytes) override { cpu_->upload(to, from, bytes); }
  void download(void* to, const void* from, std::int64_t bytes) override { cpu_->download(to, from, bytes); }
  void copy(void* to, const void* from, std::int64_t bytes) override { cpu_->copy(to, from, bytes); }
  void synchronize() override { cpu_->synchronize(); }
  Measured measure(const std::function<void()>& before, const std::function<void()>& run) override {
    return cpu_->measure(before, run);
  }
  std::unique_ptr<Recording> record(std::function<void()> run) override {
    return cpu_->record(std::move(run));
  }
  std::unique_ptr<Readback> make_readback(std::int64_t bytes, const char* what) override {
    return cpu_->make_readback(bytes, what);
  }
  std::unique_ptr<DeviceCopy> make_device_copy(std::vector<Tensor> of, std::int64_t piece_bytes,
                                               const char* what) override {
    return cpu_->make_device_copy(std::move(of), piece_bytes, what);
  }
  std::unique_ptr<Feed> make_feed(void* device, std::int64_t slot_bytes) override {
    return cpu_->make_feed(device, slot_bytes);
  }

 protected:
  explicit ForwardingBackend(std::unique_ptr<Backend> cpu) : cpu_(std::move(cpu)) {}
  Backend& cpu() { return *cpu_; }

 private:
  void zero_bytes(void* device, std::int64_t bytes) override { cpu_->zero(device, bytes); }
  void* allocate_bytes(std::int64_t bytes) override {
    Buffer buffer = cpu_->allocate(bytes, "memory");
    void* data = buffer.data();
    buffers_[data] = std::move(buffer);
    return data;
  }
  void free_bytes(void* data) noexcept override { buffers_.erase(data); }
  std::vector<MemoryUse> working_memory() const override { return {}; }

  std::unique_ptr<Backend> cpu_;
  std::map<void*, Buffer> buffers_;
};

}  // namespace zhgpt::test
