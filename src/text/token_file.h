// Token ids on their way from text to a TokenArray: a scratch file, so that they take no memory.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "text/scratch.h"
#include "zhgpt/dataset.h"

namespace zhgpt {

class TokenFile {
 public:
  TokenFile(const std::string& directory, DType dtype) : dtype_(dtype), file_(directory) {}

  // Appends table[c] for each of the characters; returns how many of those are kUnknownId.
  std::int64_t put(std::span<const char32_t> characters, std::span<const std::int32_t> table);
  // Appends ids of the file's dtype.
  void put(std::span<const std::byte> ids) { file_.append(ids); }

  ScratchFile& file() { return file_; }
  DType dtype() const { return dtype_; }
  std::int64_t count() const { return file_.bytes() / dtype_bytes(dtype_); }
  TokenArray array() { return {dtype_, count(), file_.map()}; }

 private:
  DType dtype_;
  ScratchFile file_;
  std::vector<std::uint16_t> narrow_;
  std::vector<std::int32_t> wide_;
};

}  // namespace zhgpt
