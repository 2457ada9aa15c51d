// A backend whose steps can be poisoned: a number made NaN or huge as it comes up, by the batch that it is
// of.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "support/forwarding_backend.h"
#include "train/fixture.h"

namespace zhgpt::test {

// Hooks into every step; those not set do nothing.
struct Poison {
  std::function<void(StepState&)> loss = {};                  // once it has been summed
  std::function<void(const StepState&, Tensor)> grads = {};   // whole, before their norm is taken
  std::function<void(const StepState&, Tensor)> params = {};  // after their update
  std::function<std::int64_t(std::int64_t)> batch = {};       // that is taken instead of this one
  std::function<void()> saved_copy = {};  // each time a piece of it is read, on the thread that saves
};

// Says that nothing has arrived until it is waited for, as a device does that is many steps behind the host.
class LateReadback final : public Readback {
 public:
  explicit LateReadback(std::unique_ptr<Readback> readback) : readback_(std::move(readback)) {}
  void start(const void* device) override { readback_->start(device); }
  bool ready() override { return false; }
  const void* wait() override { return readback_->wait(); }

 private:
  std::unique_ptr<Readback> readback_;
};

// Asks before each piece that is read.
class GuardedCopy final : public DeviceCopy {
 public:
  GuardedCopy(std::unique_ptr<DeviceCopy> copy, const Poison& poison)
      : copy_(std::move(copy)), poison_(poison) {}
  void take() override { copy_->take(); }
  void read(std::int64_t offset, std::span<std::byte> to) override {
    if (poison_.saved_copy) poison_.saved_copy();
    copy_->read(offset, to);
  }

 private:
  std::unique_ptr<DeviceCopy> copy_;
  const Poison& poison_;
};

// How the device behaves otherwise.
struct Manner {
  bool text_stays_on_host = false;
  bool steps_are_seen_late = false;
};

class Poisoner final : public ForwardingBackend {
 public:
  Poisoner(std::unique_ptr<Backend> cpu, Manner manner)
      : ForwardingBackend(std::move(cpu)), manner_(manner) {}
  std::int64_t free_memory_bytes() const override {
    return manner_.text_stays_on_host ? 0 : ForwardingBackend::free_memory_bytes();
  }
  std::unique_ptr<Readback> make_readback(std::int64_t bytes, const char* what) override {
    auto readback = ForwardingBackend::make_readback(bytes, what);
    if (!manner_.steps_are_seen_late) return readback;
    return std::make_unique<LateReadback>(std::move(readback));
  }
  std::unique_ptr<DeviceCopy> make_device_copy(std::vector<Tensor> of, std::int64_t piece_bytes,
                                               const char* what) override {
    auto copy = ForwardingBackend::make_device_copy(std::move(of), piece_bytes, what);
    return std::make_unique<GuardedCopy>(std::move(copy), poison_);
  }
  // From now on; until then a trainer may be made.
  void arm(Poison poison) {
    poison_ = std::move(poison);
    batches_.clear();
  }
  const std::vector<std::int64_t>& batches() const { return batches_; }  // that the steps took, in order

 private:
  void gather(GatherBatch op) {
    if (op.micro_step == 0) batches_.push_back(op.state->batch());
    StepState state = *op.state;
    if (poison_.batch) state.skipped_batches += poison_.batch(state.batch()) - state.batch();
    op.state = &state;
    cpu().run(op);
  }
  template <class Op>
  void with_poison(const Op& op) {
    if constexpr (std::is_same_v<Op, GatherBatch>) return gather(op);
    if constexpr (std::is_same_v<Op, GlobalNorm>) {
      if (poison_.grads) poison_.grads(*op.state, op.grads);
    }
    cpu().run(op);
    if constexpr (std::is_same_v<Op, AccumulateLoss>) {
      if (poison_.loss) poison_.loss(*op.state);
    } else if constexpr (std::is_same_v<Op, AdamW>) {
      if (poison_.params) poison_.params(*op.state, op.params);
    }
  }
#define ZHGPT_POISONED(Op)              \
  void execute(const Op& op) override { \
    with_poison(op);                    \
  }
  ZHGPT_FOR_EACH_OP(ZHGPT_POISONED)
#undef ZHGPT_POISONED

  Manner manner_;
  Poison poison_;
  std::vector<std::int64_t> batches_;
};

// A Trainer on such a backend, fresh or from a checkpoint.
struct PoisonedKit {
  Poisoner backend;
  Dataset dataset;
  std::unique_ptr<Trainer> trainer;

  PoisonedKit(const Config& config, Dataset data, Poison poison, const Checkpoint* from = nullptr,
              Manner manner = {})
      : backend(make_backend("cpu", 1), manner), dataset(std::move(data)) {
    trainer = from ? std::make_unique<Trainer>(backend, config, dataset, *from)
                   : std::make_unique<Trainer>(backend, config, dataset);
    backend.arm(std::move(poison));
  }
  Trainer* operator->() const { return trainer.get(); }
};

}  // namespace zhgpt::test
