// What the kernels promise of their machine code, and that the gate would notice a broken promise.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>

#include "machine_code/machine_code.h"

namespace zhgpt::test {
namespace {

struct Promise {
  const char* kernels;  // regular expression over whole names
  bool wide_loads = false,
       wide_stores = false;  // 128 bits a thread; by way of shared memory counts as a load
  int narrow_stores = 0;     // at most so many others: sums a row, say
  bool tensor_cores = false;
};

// The one table. A store of 128 bits may be split by the compiler where it can prove less than the source
// says; store128_whole (kernels/cuda/packs.cuh) keeps it whole.
const Promise kPromises[] = {
    {"accumulate_loss_kernel<true>", true},
    {"adamw_kernel<.*>", true, true},
    {"attention_backward_kv_bf16_kernel<.*>", true, true, 0, true},
    {"attention_backward_q_bf16_kernel<.*>", true, true, 4, true},  // and dout . out of each row
    {"attention_forward_bf16_kernel<.*>", true, true, 4, true},     // and lse
    {"attention_backward_kv_kernel<float, (64|128|256), true>", true, true},
    {"attention_(backward_q|forward)_kernel<float, (64|128|256), true>", true, true, 4},
    {"attention_.*_kernel<float, 32, true>", true},  // two columns a thread: 64 bits at most
    {"attention_decode_kernel<Spread<.*, [48], 1> ?>", true, true,
     4},  // the sums of a split are single numbers
    {"cache_keys_values_kernel<.*, [48]>", true, true},
    {"column_sums_kernel<.*, [48]>", true},
    {"dropout_backward_kernel<.*, [48]>", true, true},
    {"embedding_(decode|forward)_kernel<.*, [48]>", true, true},
    {"epilogue_kernel<.*, [48]>", true, true},
    {"gather_batch_kernel<.*, 4, .*>", false, true},
    {"join_runs_kernel<[48]>", true, true},
    {"layernorm_(forward|backward)_kernel<.*>", true, true, 2},  // and mean and rstd
    {"layernorm_(forward|backward|columns)_any_kernel<.*, [48]>", true, true, 2},
    {"linear_decode_kernel<.*, [48], [148]>", true},
    {"position_gradient_kernel<.*, [48]>", true, true},
    {R"(softmax_loss_kernel<.*, \(Row\)0>)", true},              // without gradients
    {R"(softmax_loss_kernel<.*, \(Row\)[12]>)", true, true, 2},  // and the loss, and what no pack divides
    {"squares_kernel<true>", true},
    {"token_gradient_kernel<.*, [48]>", true, true},
};

int narrow(const std::map<int, int>& accesses) {
  int count = 0;
  for (const auto& [bits, times] : accesses) count += bits == 128 ? 0 : times;
  return count;
}

// What is wrong with a kernel, "" if nothing.
std::string fault_of(const KernelCode& kernel, const std::vector<Promise>& promises) {
  std::ostringstream fault;
  if (kernel.local_accesses > 0) fault << kernel.local_accesses << " accesses to local memory; ";
  for (const Promise& promise : promises) {
    if (!std::regex_match(kernel.name, std::regex(promise.kernels))) continue;
    if (promise.wide_loads && !kernel.loads.count(128) && !kernel.copies.count(128))
      fault << "no load of 128 bits; ";
    if (promise.wide_stores && !kernel.stores.count(128)) fault << "no store of 128 bits; ";
    if (promise.wide_stores && narrow(kernel.stores) > promise.narrow_stores) {
      fault << narrow(kernel.stores) << " stores of less than 128 bits; ";
    }
    if (promise.tensor_cores && kernel.matrix_products == 0) fault << "no tensor cores; ";
  }
  return fault.str();
}

const std::vector<Promise> promises(std::begin(kPromises), std::end(kPromises));

std::vector<KernelCode> read_object(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return kernels_of({std::istreambuf_iterator<char>(in), {}});
}

std::vector<KernelCode> read_objects(const char* list) {
  std::ifstream in(list);
  std::vector<KernelCode> all;
  for (std::string path; std::getline(in, path);) {
    if (path.find(".cu.") == std::string::npos) continue;
    const auto some = read_object(path);
    EXPECT_FALSE(some.empty()) << path << ": no machine code, or compressed";
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

TEST(MachineCode, KeepsWhatTheKernelsPromise) {
  for (const KernelCode& kernel : read_objects(ZHGPT_KERNEL_OBJECTS)) {
    EXPECT_EQ(fault_of(kernel, promises), "") << kernel.name << ", sm_" << kernel.target;
  }
}

TEST(MachineCode, EveryPromiseIsSomeKernels) {
  std::map<int, std::set<std::string>> names;
  for (const KernelCode& kernel : read_objects(ZHGPT_KERNEL_OBJECTS))
    names[kernel.target].insert(kernel.name);
  EXPECT_FALSE(names.empty());
  for (const auto& [target, of_target] : names) {
    for (const Promise& promise : kPromises) {
      bool found = false;
      for (const std::string& name : of_target) found |= std::regex_match(name, std::regex(promise.kernels));
      EXPECT_TRUE(found) << promise.kernels << ", sm_" << target;
    }
  }
}

TEST(MachineCode, ABrokenPromiseIsNoticed) {
  const std::vector<Promise> planted = {{"(right|narrow|split)_kernel<.*>", true, true},
                                        {"no_matrix_kernel<.*>", false, false, 0, true}};
  const std::map<std::string, std::string> want = {
      {"right_kernel<4>", ""},
      {"narrow_kernel<4>", "no load of 128 bits; no store of 128 bits; 4 stores of less than 128 bits; "},
      {"split_kernel<4>", "2 stores of less than 128 bits; "},
      {"no_matrix_kernel<4>", "no tensor cores; "},
      {"indexed_kernel<4>", "accesses to local memory; "},
  };
  std::set<std::string> seen;
  for (const KernelCode& kernel : read_objects(ZHGPT_PLANTED_OBJECTS)) {
    const auto expected = want.find(kernel.name);
    ASSERT_NE(expected, want.end()) << kernel.name;
    seen.insert(kernel.name);
    std::string fault = fault_of(kernel, planted);
    if (kernel.name == "indexed_kernel<4>")
      fault = fault.substr(std::min(fault.find(' ') + 1, fault.size()));  // how many is nvcc's business
    EXPECT_EQ(fault, expected->second) << kernel.name << ", sm_" << kernel.target;
  }
  EXPECT_EQ(seen.size(), want.size());
}

TEST(MachineCode, WhatIsNoCodeHasNoKernels) {
  EXPECT_TRUE(kernels_of("").empty());
  EXPECT_TRUE(kernels_of(std::string("\0\x7f"
                                     "ELF",
                                     5))
                  .empty());
}

}  // namespace
}  // namespace zhgpt::test
