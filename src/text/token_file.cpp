#include "text/token_file.h"

#include <cstring>

namespace zhgpt {
namespace {

template <class Id>
std::int64_t look_up(std::span<const char32_t> characters, std::span<const std::int32_t> table,
                     std::vector<Id>& ids) {
  std::int64_t unknown = 0;
  ids.resize(characters.size());
  for (std::size_t i = 0; i < characters.size(); ++i) {
    const std::int32_t id = table[characters[i]];
    ids[i] = static_cast<Id>(id);
    unknown += id == kUnknownId;
  }
  return unknown;
}

}  // namespace

DType token_dtype(std::int64_t vocab_size) {
  return vocab_size <= 1 << 16 ? DType::u16 : DType::i32;
}

std::int32_t TokenArray::operator[](std::int64_t i) const {
  const std::byte* at = ids.get() + i * dtype_bytes(dtype);
  if (dtype == DType::u16) {
    std::uint16_t id = 0;
    std::memcpy(&id, at, sizeof id);
    return id;
  }
  std::int32_t id = 0;
  std::memcpy(&id, at, sizeof id);
  return id;
}

TokenArray token_array(DType dtype, std::span<const std::byte> ids) {
  const auto copy = std::make_shared<std::vector<std::byte>>(ids.begin(), ids.end());
  return {dtype, static_cast<std::int64_t>(ids.size()) / dtype_bytes(dtype),
          std::shared_ptr<const std::byte>(copy, copy->data())};
}

std::int64_t TokenFile::put(std::span<const char32_t> characters, std::span<const std::int32_t> table) {
  std::int64_t unknown = 0;
  if (dtype_ == DType::u16) {
    unknown = look_up(characters, table, narrow_);
    file_.append(std::as_bytes(std::span(narrow_)));
  } else {
    unknown = look_up(characters, table, wide_);
    file_.append(std::as_bytes(std::span(wide_)));
  }
  return unknown;
}

}  // namespace zhgpt
