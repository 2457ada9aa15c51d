// Memory of the host: what is granted is there, and addresses cost nothing.
#include "cpu/host_memory.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace zhgpt {
namespace {

TEST(HostMemory, WhatIsNotThereIsRefused) {
  EXPECT_GT(free_host_memory_bytes(), 0);
  EXPECT_EQ(take_host_memory(std::size_t{1} << 46), nullptr);
}

TEST(HostMemory, IsAligned) {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{1000}, std::size_t{5} << 20}) {
    const HostMemory memory = take_host_memory(bytes);
    ASSERT_NE(memory, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.get()) % 256, 0u) << bytes;
    static_cast<char*>(memory.get())[bytes - 1] = 1;
  }
}

TEST(HostMemory, AddressesMayExceedIt) {
  constexpr std::size_t kBytes = std::size_t{1} << 43;
  const HostMemory memory = take_addresses(kBytes);
  ASSERT_NE(memory, nullptr);
  auto* bytes = static_cast<char*>(memory.get());
  EXPECT_EQ(bytes[0], 0);
  bytes[kBytes - 1] = 1;
  EXPECT_EQ(bytes[kBytes - 1], 1);
}

}  // namespace
}  // namespace zhgpt
