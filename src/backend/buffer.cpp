// Buffer: one allocation of a backend's memory, released with its owner; and the backends' checked
// allocation.
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
  if (data_) backend_->free_bytes(data_);
}

Buffer Backend::allocate(std::int64_t bytes, const char* what) {
  if (bytes < 0)
    throw ConfigError(std::string("Backend::allocate: ") + what + ": " + std::to_string(bytes) + " bytes");
  if (bytes == 0) return {};
  void* data = allocate_bytes(bytes);
  if (!data) throw DeviceError(tr(Msg::out_of_memory, name(), what, bytes, bytes / (1 << 20)));
  return {this, data, bytes};
}

}  // namespace zhgpt
