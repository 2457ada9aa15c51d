// Little-endian integers to and from bytes, one byte at a time: the same on every machine, at any alignment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace zhgpt {

class ByteWriter {
 public:
  template <class UInt>
    requires std::is_unsigned_v<UInt>
  void put(UInt value) {
    for (std::size_t i = 0; i < sizeof value; ++i) bytes_.push_back(static_cast<std::byte>(value >> (8 * i) & 0xFF));
  }
  void put_bytes(std::span<const std::byte> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void put_zeros_until(std::int64_t size) { bytes_.resize(static_cast<std::size_t>(size)); }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// Reads from the front of a span. A getter that finds too few bytes left reads nothing and returns false.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : rest_(bytes) {}
  std::size_t left() const { return rest_.size(); }

  template <class UInt>
    requires std::is_unsigned_v<UInt>
  [[nodiscard]] bool get(UInt& value) {
    if (rest_.size() < sizeof value) return false;
    value = 0;
    for (std::size_t i = 0; i < sizeof value; ++i) {
      value = static_cast<UInt>(value | static_cast<UInt>(std::to_integer<UInt>(rest_[i]) << (8 * i)));
    }
    rest_ = rest_.subspan(sizeof value);
    return true;
  }
  [[nodiscard]] bool get_bytes(std::size_t count, std::span<const std::byte>& bytes) {
    if (rest_.size() < count) return false;
    bytes = rest_.first(count);
    rest_ = rest_.subspan(count);
    return true;
  }

 private:
  std::span<const std::byte> rest_;
};

}  // namespace zhgpt
