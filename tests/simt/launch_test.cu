// The launch function, the ledger, dry streams.
#include "cuda/context.h"
#include "cuda/ledger.h"
#include "cuda/matmul.h"
#include "simt/faults.h"

namespace zhgpt::test {
namespace {

using namespace zhgpt::cuda;

__global__ void set_kernel(int* out, int value, unsigned n) {
  if (threadIdx.x < n) out[threadIdx.x] = value;
}
template <class T, int count>
__global__ void sum_kernel(T* out, bool negative) {
  SharedArena arena;
  T* numbers = arena.take<T>(count);
  for (int i = 0; i < count; ++i) numbers[i] = T(1);
  T sum = 0;
  for (int i = 0; i < count; ++i) sum += numbers[i];
  *out = negative ? -sum : sum;
}

TEST(Launch, ConvertsArgumentsAndNamesTheKernel) {
  const DeviceArray<int> out(4);
  Ledger ledger;
  Stream stream;
  stream.ledger = &ledger;
  ZHGPT_LAUNCH(stream, (Cost{.flops = 1, .bytes = 16}), (LaunchShape{1, 4}), set_kernel, out.data(),
               std::int64_t{7}, 4);
  stream.synchronize();
  EXPECT_EQ(out.download(), std::vector<int>(4, 7));
  ASSERT_EQ(ledger.kernels(), 1);
  EXPECT_STREQ(ledger.records()[0].name, "set_kernel");
  EXPECT_EQ(ledger.records()[0].shape.block.x, 4u);
}

TEST(Launch, RefusesIntegersThatDoNotFit) {
  const DeviceArray<int> out(4);
  Stream stream;
  const auto launch_with = [&](std::int64_t value, int n) {
    return fault_of([&] {
      ZHGPT_LAUNCH(stream, Cost{}, (LaunchShape{1, 4}), set_kernel, out.data(), value, n);
    });
  };
  EXPECT_TRUE(says(launch_with(std::int64_t{1} << 31, 4), {"set_kernel", "2147483648"}));
  EXPECT_TRUE(says(launch_with(0, -1), {"set_kernel", "-1"}));
}

TEST(Launch, GivesMoreThan48KiBOfSharedMemory) {
  constexpr int count = 20000;  // 80 kB
  const DeviceArray<float> out(1);
  Stream stream;
  for (int i = 0; i < 2; ++i) {
    ZHGPT_LAUNCH(stream, Cost{}, (LaunchShape{1, 1, shared_bytes<float>(count)}), (sum_kernel<float, count>),
                 out.data(), true);
  }
  stream.synchronize();
  EXPECT_EQ(out.download()[0], -20000.f);
}

TEST(Launch, NamesTheKernelThatCannotBeLaunched) {
  const DeviceArray<float> out(1);
  Stream stream;
  const auto launch_as = [&](LaunchShape shape) {
    return fault_of([&] { ZHGPT_LAUNCH(stream, Cost{}, shape, (sum_kernel<float, 4>), out.data(), false); });
  };
  EXPECT_TRUE(says(launch_as({1, 2048}),
                   {"(sum_kernel<float, 4>)", "block 2048x1x1", "cudaErrorInvalidConfiguration"}));
  EXPECT_TRUE(says(launch_as({0, 32}), {"(sum_kernel<float, 4>)", "grid 0x1x1"}));
  EXPECT_TRUE(says(launch_as({1, 1, 300000}), {"(sum_kernel<float, 4>)", "300000 bytes of shared memory"}));
}

TEST(Launch, DryStreamOnlyWritesDown) {
  simt::set_device_memory_limit(0);  // nothing could be allocated
  Ledger ledger;
  Stream stream(Stream::Mode::dry);
  stream.ledger = &ledger;
  for (int i = 0; i < 3; ++i) {
    ZHGPT_LAUNCH(stream, (Cost{.flops = 2e9, .bytes = 1e6}), (LaunchShape{1, 4}), set_kernel, nullptr, 1, 4u);
  }
  ZHGPT_LAUNCH(stream, (Cost{.flops = 0, .bytes = 3e9}), (LaunchShape{1, 4}), set_kernel, nullptr, 1, 4u);
  stream.synchronize();
  EXPECT_EQ(stream.get(), nullptr);
  EXPECT_EQ(ledger.kernels(), 4);
  EXPECT_EQ(ledger.total().flops, 6e9);
  EXPECT_EQ(ledger.total().bytes, 3.003e9);
  simt::set_device_memory_limit(std::size_t{2} << 30);
}

TEST(Ledger, BooksProductsByTheirArithmetic) {
  Ledger ledger;
  Stream stream(Stream::Mode::dry);
  stream.ledger = &ledger;
  Product product{.m = 3,
                  .n = 5,
                  .k = 7,
                  .a = {nullptr, 7},
                  .b = {nullptr, 5},
                  .dtype = DType::f32,
                  .out_dtype = DType::f32};
  make_matmul({}, true)->run(stream, product);
  make_matmul({.tf32 = true}, true)->run(stream, product);
  product.dtype = DType::bf16;
  product.add = true;
  make_matmul({.tf32 = true}, true)->run(stream, product);
  ASSERT_EQ(ledger.kernels(), 3);
  const Arithmetic expected[] = {Arithmetic::fp32, Arithmetic::tf32, Arithmetic::bf16};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(ledger.records()[i].cost.flops, 2. * 3 * 5 * 7);
    EXPECT_EQ(ledger.records()[i].cost.arithmetic, expected[i]) << i;
  }
  EXPECT_EQ(ledger.records()[1].cost.bytes, 4. * (3 * 7 + 7 * 5 + 3 * 5));
  EXPECT_EQ(ledger.records()[2].cost.bytes,
            2. * (3 * 7 + 7 * 5) + 2 * 4. * (3 * 5));  // added to: read and written
}

TEST(Scratch, OnADryStreamOnlyItsSizeIsKnown) {
  simt::set_device_memory_limit(0);  // nothing could be allocated
  Stream dry(Stream::Mode::dry);
  Scratch scratch(dry);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(scratch.get(std::size_t{1} << 40)) % 256, 0u);
  scratch.get(100);
  EXPECT_EQ(scratch.bytes(), std::int64_t{1} << 40);
  simt::set_device_memory_limit(std::size_t{2} << 30);
}

TEST(Scratch, WithoutRoomSaysSo) {
  simt::set_device_memory_limit(1000);
  Stream stream;
  Scratch scratch(stream);
  EXPECT_TRUE(says(fault_of([&] { scratch.get(1001); }), {"no room for scratch memory (1001 bytes"}));
  simt::set_device_memory_limit(std::size_t{2} << 30);
}

}  // namespace
}  // namespace zhgpt::test
