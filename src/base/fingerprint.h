// Fingerprints and state hashes as text: 16 hexadecimal digits.
#pragma once

#include <cstdint>
#include <string>

namespace zhgpt {

std::string fingerprint_text(std::uint64_t fingerprint);
std::uint64_t parse_fingerprint(const std::string& text);  // throws CheckpointError

}  // namespace zhgpt
