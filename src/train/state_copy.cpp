#include "train/state_copy.h"

#include <algorithm>
#include <cstring>

namespace zhgpt {

StateCopy::StateCopy(Backend& backend, const std::array<Tensor, kArrays>& arrays) {
  for (std::size_t i = 0; i < kArrays; ++i) {
    arrays_[i].device = arrays[i].data;
    arrays_[i].readback = backend.make_readback(arrays[i].bytes(), "copy to save from");
  }
}

void StateCopy::take() {
  for (Array& array : arrays_) {
    array.host = nullptr;
    array.readback->start(array.device);
  }
}

bool StateCopy::is_ready(bool wait) {
  const auto has_arrived = [](const Array& array) { return array.readback->ready(); };
  if (!wait && !std::all_of(arrays_.begin(), arrays_.end(), has_arrived)) return false;
  for (Array& array : arrays_) array.host = static_cast<const std::byte*>(array.readback->wait());
  return true;
}

void StateCopy::read(std::size_t array, std::int64_t offset, std::span<std::byte> to) const {
  std::memcpy(to.data(), arrays_[array].host + offset, to.size());
}

}  // namespace zhgpt
