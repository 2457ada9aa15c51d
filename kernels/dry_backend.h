// DryBackend: what the dry backends of all devices share. Nothing moves; every operation is sent to the
// device's own code, which asks for scratch memory and launches as ever, but computes nothing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

#include "zhgpt/backend.h"

namespace zhgpt {

class DryBackend : public Backend {
 public:
  explicit DryBackend(std::int64_t memory_bytes) : memory_bytes_(memory_bytes) {}

  bool is_dry() const final { return true; }
  std::int64_t free_memory_bytes() const final {
    std::int64_t left = memory_bytes_;
    for (const MemoryUse& use : memory()) left -= use.bytes;
    return std::max<std::int64_t>(0, left);
  }
  void reserve(const std::function<void()>& operations) final { operations(); }
  void upload(void*, const void*, std::int64_t) final {}
  void download(void*, const void*, std::int64_t) final {}
  void copy(void*, const void*, std::int64_t) final {}
  void synchronize() final {}
  std::unique_ptr<Recording> record(std::function<void()> operations) final {
    return std::make_unique<DryRecording>(std::move(operations));
  }
  std::unique_ptr<Readback> make_readback(std::int64_t, const char*) override {
    return std::make_unique<DryReadback>();  // the host's memory is not counted
  }
  std::unique_ptr<DeviceCopy> make_device_copy(std::vector<Tensor> of, std::int64_t, const char* what) final {
    return std::make_unique<DryCopy>(allocate(bytes_of(of), what));
  }
  std::unique_ptr<Feed> make_feed(void*, std::int64_t) final { return nullptr; }
  Measured measure(const std::function<void()>&, const std::function<void()>&) final { return {}; }

 protected:
  class DryReadback final : public Readback {
   public:
    explicit DryReadback(Buffer memory = {}) : memory_(std::move(memory)) {}
    void start(const void*) override {}
    bool ready() override { return true; }
    const void* wait() override { return memory_.data(); }

   private:
    Buffer memory_;
  };

 private:
  void zero_bytes(void*, std::int64_t) override {}
  class DryRecording final : public Recording {
   public:
    explicit DryRecording(std::function<void()> operations) : operations_(std::move(operations)) {}
    void replay() override { operations_(); }

   private:
    std::function<void()> operations_;
  };
  class DryCopy final : public DeviceCopy {
   public:
    explicit DryCopy(Buffer memory) : memory_(std::move(memory)) {}
    void take() override {}
    void read(std::int64_t, std::span<std::byte>) override {}

   private:
    Buffer memory_;
  };
  const std::int64_t memory_bytes_;
};

}  // namespace zhgpt
