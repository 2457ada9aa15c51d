#include "simt/tensor_core.h"

#include <bit>
#include <cstring>

#include "simt/asan.h"
#include "simt/collectives.h"
#include "simt/memory.h"

namespace zhgpt::simt {
namespace {

constexpr unsigned kAllLanes = ~0u;

struct LdmatrixOperand {
  const void* row;
  std::uint32_t* result;
};
// PTX ISA, "ldmatrix": lane l receives elements 2 (l % 4) and 2 (l % 4) + 1 of row l / 4; transposed, of
// column l / 4.
template <unsigned matrices, bool transposed>
void load_matrices(const Lanes& lanes) {
  for (unsigned m = 0; m < matrices; ++m) {
    std::uint16_t matrix[8][8];
    for (unsigned i = 0; i < 8; ++i) {
      std::memcpy(matrix[i], static_cast<LdmatrixOperand*>(lanes[m * 8 + i])->row, sizeof matrix[i]);
    }
    for (unsigned lane = 0; lane < 32; ++lane) {
      const unsigned i = lane / 4, j = 2 * (lane % 4);
      const std::uint32_t low = transposed ? matrix[j][i] : matrix[i][j];
      const std::uint32_t high = transposed ? matrix[j + 1][i] : matrix[i][j + 1];
      static_cast<LdmatrixOperand*>(lanes[lane])->result[m] = low | high << 16;
    }
  }
}

struct MmaOperand {
  float* d;
  const std::uint32_t* a;
  const std::uint32_t* b;
};
float low_bf16(std::uint32_t pair) {
  return std::bit_cast<float>(pair << 16);
}
float high_bf16(std::uint32_t pair) {
  return std::bit_cast<float>(pair & 0xffff0000u);
}

// PTX ISA, "Matrix fragments for mma.m16n8k16": lane l holds rows l / 4 and l / 4 + 8 of a and d, column l /
// 4 of b, and the pairs of columns (of a and d) or rows (of b) that begin at 2 (l % 4), and for a and b 8
// further on.
void multiply(const Lanes& lanes) {
  float a[16][16], b[16][8], d[16][8];
  for (unsigned lane = 0; lane < 32; ++lane) {
    const auto& operand = *static_cast<MmaOperand*>(lanes[lane]);
    const unsigned i = lane / 4, j = 2 * (lane % 4);
    for (unsigned part = 0; part < 4; ++part) {
      const unsigned row = i + 8 * (part % 2), column = j + 8 * (part / 2);
      a[row][column] = low_bf16(operand.a[part]);
      a[row][column + 1] = high_bf16(operand.a[part]);
    }
    for (unsigned half = 0; half < 2; ++half) {
      b[j + 8 * half][i] = low_bf16(operand.b[half]);
      b[j + 8 * half + 1][i] = high_bf16(operand.b[half]);
      d[i + 8 * half][j] = operand.d[2 * half];
      d[i + 8 * half][j + 1] = operand.d[2 * half + 1];
    }
  }
  for (unsigned row = 0; row < 16; ++row) {
    for (unsigned k = 0; k < 16; ++k) {
      for (unsigned column = 0; column < 8; ++column) d[row][column] += a[row][k] * b[k][column];
    }
  }
  for (unsigned lane = 0; lane < 32; ++lane) {
    float* result = static_cast<MmaOperand*>(lanes[lane])->d;
    const unsigned i = lane / 4, j = 2 * (lane % 4);
    for (unsigned part = 0; part < 4; ++part) result[part] = d[i + 8 * (part / 2)][j + part % 2];
  }
}

}  // namespace

void ldmatrix(std::uint32_t* result, const void* row, unsigned matrices, bool transposed, Where where) {
  const Site site{where, __builtin_return_address(0)};
  if (current->lane() < matrices * 8) check_access(row, 16, true, race::Access::read, "ldmatrix", site);
  const WarpWork work = matrices == 2 ? (transposed ? load_matrices<2, true> : load_matrices<2, false>)
                                      : (transposed ? load_matrices<4, true> : load_matrices<4, false>);
  LdmatrixOperand operand{row, result};
  warp_operation(kAllLanes, &operand, work, "ldmatrix", site);
}

void mma_m16n8k16(float* d, const std::uint32_t* a, const std::uint32_t* b, Where where) {
  MmaOperand operand{d, a, b};
  warp_operation(kAllLanes, &operand, multiply, "mma", {where, __builtin_return_address(0)});
}

void cp_async16(void* to, const void* from, bool valid, Where where) {
  const Site site{where, __builtin_return_address(0)};
  AsyncCopy copy{site, to, {}, current->committed_groups};
  if (valid) {
    check_access(from, sizeof copy.bytes, false, race::Access::read, "cp.async source", site);
    std::memcpy(copy.bytes, from, sizeof copy.bytes);
  }
  check_access(to, sizeof copy.bytes, true, race::Access::write, "cp.async target", site);
  std::memset(to, 0xff, sizeof copy.bytes);
  asan::poison(to, sizeof copy.bytes);
  race::copy_issued(to, sizeof copy.bytes);
  current->copies.push_back(copy);
}

void cp_async_commit() {
  ++current->committed_groups;
}

void cp_async_wait(unsigned groups_left, Where where) {
  const Site site{where, __builtin_return_address(0)};
  const auto landed = [&](const AsyncCopy& copy) {
    if (copy.group + groups_left >= current->committed_groups) return false;
    asan::unpoison(copy.to, sizeof copy.bytes);
    race::copy_landed(copy.to, sizeof copy.bytes);
    check_access(copy.to, sizeof copy.bytes, true, race::Access::write, "cp.async target", site);
    std::memcpy(copy.to, copy.bytes, sizeof copy.bytes);
    return true;
  };
  std::erase_if(current->copies, landed);
}

}  // namespace zhgpt::simt
