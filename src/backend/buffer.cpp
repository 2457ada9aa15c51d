// Buffer: one allocation of a backend's memory, released with its owner; and what all backends share:
// checked allocation and its books, telling an observer.
#include <algorithm>
#include <utility>

#include "zhgpt/backend.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this == &other) return *this;
  release();
  backend_ = std::exchange(other.backend_, nullptr);
  data_ = std::exchange(other.data_, nullptr);
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}

void Buffer::release() noexcept {
  if (data_) backend_->release(data_);
}

Buffer Backend::allocate(std::int64_t bytes, const char* what) {
  if (bytes < 0)
    throw ConfigError(std::string("Backend::allocate: ") + what + ": " + std::to_string(bytes) + " bytes");
  if (bytes == 0) return {};
  void* data = allocate_bytes(bytes);
  if (!data) throw OutOfMemory(what, bytes);
  allocations_.push_back({data, {what, bytes}});
  return {this, data, bytes};
}

void Backend::release(void* data) noexcept {
  std::erase_if(allocations_, [data](const Allocation& allocation) { return allocation.data == data; });
  free_bytes(data);
}

std::vector<MemoryUse> Backend::memory() const {
  std::vector<MemoryUse> uses;
  for (const Allocation& allocation : allocations_) uses.push_back(allocation.use);
  for (const MemoryUse& use : working_memory()) {
    if (use.bytes > 0) uses.push_back(use);
  }
  return uses;
}

void Backend::zero(void* device, std::int64_t bytes) {
  if (!observer_) return zero_bytes(device, bytes);
  observed({.operation = "zero", .bytes = static_cast<double>(bytes)}, [&] { zero_bytes(device, bytes); });
}

void Backend::observe(Observer* observer) {
  synchronize();
  observer_ = observer;
}

void Backend::observed(const OperationCost& cost, const std::function<void()>& operation) {
  const auto begin = Interval::Clock::now();
  operation();
  synchronize();
  observer_->on_operation(cost, {begin, Interval::Clock::now()});
}

OutOfMemory::OutOfMemory(const std::string& what, std::int64_t bytes)
    : DeviceError(tr(Msg::out_of_memory, spoken_name(what), bytes, bytes / (1 << 20))),
      wanted_{what, bytes} {}

}  // namespace zhgpt
