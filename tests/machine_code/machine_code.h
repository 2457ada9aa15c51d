// What machine code of kernels is in an object file that nvcc made, read without a disassembler.
//
// Such an object carries a cubin for each target: an ELF file of its own, with a section .text.<kernel> of
// 128-bit instructions. Of an instruction bits 0 to 11 are the operation and, for accesses to memory, bits 73
// to 75 the width. The few operations that matter here have the same codes from sm_80 to sm_90a; they were
// compared with cuobjdump -sass of CUDA 13.0 for the kernels of dropout and of the three files of attention.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace zhgpt::test {

struct KernelCode {
  int target = 0;    // 80 or 90
  std::string name;  // "adamw_kernel<true>": without namespaces and parameters
  // Loads and stores of global memory, copies from there to shared memory, by bits a thread; matrix products;
  // accesses to local memory, which are spilled registers or arrays that were indexed at run time.
  std::map<int, int> loads, stores, copies;
  int matrix_products = 0, local_accesses = 0;
};

// Of all targets, in order. Empty when there is none, or none that is not compressed.
std::vector<KernelCode> kernels_of(const std::string& object_bytes);

}  // namespace zhgpt::test
