// Cards: how fast GPUs are at most, and what that means for the launches of a step.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace zhgpt {

// What the arithmetic of a launch is done in: ordinary cores, or tensor cores with f32 sums.
enum class Arithmetic { fp32, tf32, bf16 };

// What an operation, or one launch of it, computes and moves to and from memory at least.
struct OperationCost {
  const char* operation;  // a struct of ops.h, or "zero"
  double flops = 0, bytes = 0;
  Arithmetic arithmetic = Arithmetic::fp32;
};

// Peaks as the maker gives them, without sparsity.
struct Card {
  const char* name;
  double fp32_flops_per_s, tf32_flops_per_s, bf16_flops_per_s;
  double bytes_per_s;
  std::int64_t memory_bytes;

  // The least time for a launch: the longer of arithmetic and memory traffic. S. Williams, A. Waterman, D.
  // Patterson, "Roofline", CACM 2009.
  double roofline_s(const OperationCost& launch) const;
};
std::span<const Card> cards();
// The card whose name is in `text`, whatever the case: "h100", "NVIDIA H100 80GB HBM3". nullptr: none.
const Card* find_card(std::string_view text);

}  // namespace zhgpt
