// CpuBackend: host memory, and operations at once.
#include "cpu/cpu_backend.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "cpu/dispatch.h"

namespace zhgpt {
namespace {

class CpuRecording final : public Recording {
 public:
  explicit CpuRecording(std::function<void()> operations) : operations_(std::move(operations)) {}
  void replay() override { operations_(); }

 private:
  std::function<void()> operations_;
};

class CpuReadback final : public Readback {
 public:
  explicit CpuReadback(Buffer memory) : memory_(std::move(memory)) {}
  void start(const void* device) override {
    std::memcpy(memory_.data(), device, static_cast<std::size_t>(memory_.bytes()));
  }
  bool ready() override { return true; }
  const void* wait() override { return memory_.data(); }

 private:
  Buffer memory_;
};

// Read where it lies.
class CpuCopy final : public DeviceCopy {
 public:
  CpuCopy(Buffer memory, std::vector<Tensor> of) : memory_(std::move(memory)), of_(std::move(of)) {}
  void take() override {
    auto* to = static_cast<std::byte*>(memory_.data());
    for (const Tensor& tensor : of_) {
      std::memcpy(to, tensor.data, static_cast<std::size_t>(tensor.bytes()));
      to += tensor.bytes();
    }
  }
  void read(std::int64_t offset, std::span<std::byte> to) override {
    std::memcpy(to.data(), static_cast<const std::byte*>(memory_.data()) + offset, to.size());
  }

 private:
  Buffer memory_;
  std::vector<Tensor> of_;
};

// The slots are written in place.
class CpuFeed final : public Feed {
 public:
  CpuFeed(void* memory, std::int64_t slot_bytes)
      : memory_(static_cast<char*>(memory)), slot_bytes_(slot_bytes) {}
  void* begin(std::int64_t slot) override { return memory_ + slot * slot_bytes_; }
  void send(std::int64_t) override {}

 private:
  char* memory_;
  std::int64_t slot_bytes_;
};

}  // namespace

CpuBackend::CpuBackend(int threads) : context_(threads) {}

std::string CpuBackend::name() const {
  const int threads = context_.pool.threads();
  return "cpu, " + std::to_string(threads) + (threads == 1 ? " thread" : " threads");
}

void CpuBackend::upload(void* device, const void* host, std::int64_t bytes) {
  std::memcpy(device, host, static_cast<std::size_t>(bytes));
}

void CpuBackend::download(void* host, const void* device, std::int64_t bytes) {
  std::memcpy(host, device, static_cast<std::size_t>(bytes));
}

void CpuBackend::copy(void* to_device, const void* from_device, std::int64_t bytes) {
  std::memcpy(to_device, from_device, static_cast<std::size_t>(bytes));
}

void CpuBackend::zero_bytes(void* device, std::int64_t bytes) {
  constexpr std::int64_t kPiece = std::int64_t{1} << 18;
  context_.pool.for_each_tile(cpu::tiles_of(bytes, kPiece), [&](std::int64_t tile, int) {
    const cpu::Tile piece(tile, kPiece, bytes);
    std::memset(static_cast<char*>(device) + piece.begin, 0, static_cast<std::size_t>(piece.count));
  });
}

void CpuBackend::observe(Observer* observer) {
  Backend::observe(observer);
  context_.pool.observe(observer);
}

Measured CpuBackend::measure(const std::function<void()>& before, const std::function<void()>& operations) {
  using Clock = std::chrono::steady_clock;
  before();
  const auto start = Clock::now();
  operations();
  return {.ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count()};
}

std::unique_ptr<Recording> CpuBackend::record(std::function<void()> operations) {
  return std::make_unique<CpuRecording>(std::move(operations));
}

std::unique_ptr<Readback> CpuBackend::make_readback(std::int64_t bytes, const char* what) {
  return std::make_unique<CpuReadback>(allocate(bytes, what));
}

std::unique_ptr<DeviceCopy> CpuBackend::make_device_copy(std::vector<Tensor> of, std::int64_t,
                                                         const char* what) {
  Buffer memory = allocate(bytes_of(of), what);
  return std::make_unique<CpuCopy>(std::move(memory), std::move(of));
}

std::unique_ptr<Feed> CpuBackend::make_feed(void* device, std::int64_t slot_bytes) {
  return std::make_unique<CpuFeed>(device, slot_bytes);
}

std::int64_t CpuBackend::free_memory_bytes() const {
  return free_host_memory_bytes();
}

void CpuBackend::reserve(const std::function<void()>& operations) {
  context_.pool.skip_tiles(true);
  try {
    operations();
  } catch (...) {
    context_.pool.skip_tiles(false);
    throw;
  }
  context_.pool.skip_tiles(false);
}

std::vector<MemoryUse> CpuBackend::working_memory() const {
  return {{"scratch memory", context_.scratch_bytes()}};
}

void* CpuBackend::allocate_bytes(std::int64_t bytes) {
  const auto size = static_cast<std::size_t>(bytes);
  void* data = take_host_memory(size).release();
  if (data) std::memset(data, 0, size);
  return data;
}

void CpuBackend::free_bytes(void* data) noexcept {
  std::free(data);
}

#define ZHGPT_EXECUTE(Op)                  \
  void CpuBackend::execute(const Op& op) { \
    cpu::dispatch(context_, op);           \
  }
ZHGPT_FOR_EACH_OP(ZHGPT_EXECUTE)
#undef ZHGPT_EXECUTE

std::unique_ptr<Backend> make_cpu_backend(int threads) {
  return std::make_unique<CpuBackend>(threads);
}

}  // namespace zhgpt
