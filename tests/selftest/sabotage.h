// A backend that does one operation wrong.
#pragma once

#include <cmath>
#include <map>
#include <memory>
#include <string>

#include "zhgpt/backend.h"
#include "zhgpt/error.h"

namespace zhgpt::test {

enum class Damage { off_by_one, nan, failure };

// Hands everything to the CPU backend it was given; of the operation named it then spoils one number.
class Saboteur final : public Backend {
 public:
  Saboteur(std::unique_ptr<Backend> cpu, std::string operation, Damage damage)
      : cpu_(std::move(cpu)), operation_(std::move(operation)), damage_(damage) {}

  std::string name() const override { return cpu_->name(); }
  bool computes_in(DType dtype) const override { return cpu_->computes_in(dtype); }
  std::int64_t free_memory_bytes() const override { return cpu_->free_memory_bytes(); }
  void reserve(const std::function<void()>& run) override { cpu_->reserve(run); }
  void upload(void* to, const void* from, std::int64_t bytes) override { cpu_->upload(to, from, bytes); }
  void download(void* to, const void* from, std::int64_t bytes) override { cpu_->download(to, from, bytes); }
  void copy(void* to, const void* from, std::int64_t bytes) override { cpu_->copy(to, from, bytes); }
  void zero(void* device, std::int64_t bytes) override { cpu_->zero(device, bytes); }
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
  std::unique_ptr<Feed> make_feed(void* device, std::int64_t slot_bytes) override {
    return cpu_->make_feed(device, slot_bytes);
  }

 private:
  void* allocate_bytes(std::int64_t bytes) override {
    Buffer buffer = cpu_->allocate(bytes, "memory");
    void* data = buffer.data();
    buffers_[data] = std::move(buffer);
    return data;
  }
  void free_bytes(void* data) noexcept override { buffers_.erase(data); }
  std::vector<MemoryUse> working_memory() const override { return {}; }

  // The last number of the output that comes first; of operations on the state, what they set.
  template <class Op>
  void spoil(const Op& op) const {
    if constexpr (requires { op.params; }) {
      spoil(op.params);
    } else if constexpr (
        requires { op.state->loss; } && !requires { op.tokens; }) {
      StepState& state = *op.state;
      ++state.step;
      for (float* number : {&state.learning_rate, &state.loss, &state.grad_norm}) spoil(*number);
    } else {
      spoil(reinterpret_cast<const Tensor&>(op));  // its first member
    }
  }
  void spoil(const Tensor& output) const {
    const std::int64_t last = output.numel() - 1;
    if (output.dtype == DType::i32) {
      ++output.as<std::int32_t>()[last];
    } else {
      spoil(output.as<float>()[last]);
    }
  }
  void spoil(float& number) const { number = damage_ == Damage::nan ? std::nanf("") : number + 1; }

#define ZHGPT_SABOTAGE(Op)                                 \
  void execute(const Op& op) override {                    \
    if (#Op == operation_ && damage_ == Damage::failure) { \
      throw DeviceError("the device was lost");            \
    }                                                      \
    cpu_->run(op);                                         \
    if (#Op == operation_) spoil(op);                      \
  }
  ZHGPT_FOR_EACH_OP(ZHGPT_SABOTAGE)
#undef ZHGPT_SABOTAGE

  std::unique_ptr<Backend> cpu_;
  std::string operation_;
  Damage damage_;
  std::map<void*, Buffer> buffers_;
};

}  // namespace zhgpt::test
