#include "machine_code/machine_code.h"

#include <cxxabi.h>
#include <elf.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <regex>
#include <string_view>

namespace zhgpt::test {
namespace {

constexpr std::uint16_t kCudaMachine = 190;
constexpr std::size_t kInstructionBytes = 16;

template <class T>
T read(std::string_view bytes, std::size_t at) {
  T value{};
  if (at <= bytes.size() && sizeof value <= bytes.size() - at)
    std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

std::string demangled(const std::string& symbol) {
  int status = 0;
  char* text = abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status);
  std::string name = status == 0 ? text : symbol;
  std::free(text);
  static const std::regex noise(
      R"(^void |\(anonymous namespace\)::|_GLOBAL__N__\w+::|zhgpt::\w+::|\((int|bool)\))");
  name = std::regex_replace(name, noise, "");
  int depth = 0;
  std::size_t end = 0;
  for (; end < name.size() && !(name[end] == '(' && depth == 0); ++end) {
    depth += (name[end] == '<') - (name[end] == '>');
  }
  return name.substr(0, end);
}

void count(KernelCode& kernel, std::uint64_t low, std::uint64_t high) {
  static constexpr int kBits[8] = {8, 8, 16, 16, 32, 64, 128, 0};
  const int bits = kBits[high >> 9 & 7];
  switch (low & 0xfff) {
    case 0x981:
      ++kernel.loads[bits];
      break;  // LDG
    case 0x986:
      ++kernel.stores[bits];
      break;  // STG
    case 0xfae:
      ++kernel.copies[bits];
      break;     // LDGSTS
    case 0x23c:  // HMMA
    case 0x9f0:
      ++kernel.matrix_products;
      break;     // HGMMA
    case 0x983:  // LDL
    case 0x387:  // STL
    case 0x987:
      ++kernel.local_accesses;
      break;  // STL
    default:
      break;
  }
}

void read_cubin(std::string_view cubin, std::vector<KernelCode>& kernels) {
  const auto header = read<Elf64_Ehdr>(cubin, 0);
  const auto section = [&](std::size_t i) {
    return read<Elf64_Shdr>(cubin, header.e_shoff + i * header.e_shentsize);
  };
  const Elf64_Shdr names = section(header.e_shstrndx);
  for (std::size_t i = 0; i < header.e_shnum; ++i) {
    const Elf64_Shdr s = section(i);
    const std::size_t at = names.sh_offset + s.sh_name;
    const std::string name(cubin.substr(std::min(at, cubin.size()), cubin.find('\0', at) - at));
    if (name.rfind(".text.", 0) != 0) continue;
    KernelCode kernel;
    kernel.target = static_cast<int>(header.e_flags >> 8 & 0xff);
    kernel.name = demangled(name.substr(6));
    for (std::size_t k = s.sh_offset; k + kInstructionBytes <= s.sh_offset + s.sh_size;
         k += kInstructionBytes) {
      count(kernel, read<std::uint64_t>(cubin, k), read<std::uint64_t>(cubin, k + 8));
    }
    kernels.push_back(std::move(kernel));
  }
}

}  // namespace

std::vector<KernelCode> kernels_of(const std::string& object_bytes) {
  std::vector<KernelCode> kernels;
  const std::string_view bytes = object_bytes, magic(
                                                   "\x7f"
                                                   "ELF");
  for (std::size_t at = bytes.find(magic, 1); at != std::string_view::npos; at = bytes.find(magic, at + 1)) {
    const std::string_view inner = bytes.substr(at);
    if (read<Elf64_Ehdr>(inner, 0).e_machine == kCudaMachine) read_cubin(inner, kernels);
  }
  return kernels;
}

}  // namespace zhgpt::test
