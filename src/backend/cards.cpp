#include "zhgpt/cards.h"

#include <algorithm>
#include <cctype>

namespace zhgpt {
namespace {

constexpr double kTera = 1e12;
constexpr std::int64_t kGB = 1'000'000'000;

// Sources, all by NVIDIA: H200 and H100 SXM, the data sheets of 2023 and 2024, half of the peaks with
// sparsity; A100 SXM 80 GB, data sheet of 2021; RTX 4090 and RTX 3090, the whitepapers "Ada GPU Architecture"
// and "GA102 GPU Architecture", tensor cores with f32 sums.
constexpr Card kCards[] = {
    {"H200", 67 * kTera, 494.5 * kTera, 989.5 * kTera, 4.8 * kTera, 141 * kGB},
    {"H100", 67 * kTera, 494.5 * kTera, 989.5 * kTera, 3.35 * kTera, 80 * kGB},
    {"A100", 19.5 * kTera, 156 * kTera, 312 * kTera, 2.039 * kTera, 80 * kGB},
    {"RTX 4090", 82.6 * kTera, 82.6 * kTera, 165.2 * kTera, 1.008 * kTera, 24 * kGB},
    {"RTX 3090", 35.6 * kTera, 35.6 * kTera, 71.2 * kTera, 0.936 * kTera, 24 * kGB},
};

}  // namespace

double Card::roofline_s(const OperationCost& launch) const {
  const double flops_per_s = launch.arithmetic == Arithmetic::bf16   ? bf16_flops_per_s
                             : launch.arithmetic == Arithmetic::tf32 ? tf32_flops_per_s
                                                                     : fp32_flops_per_s;
  return std::max(launch.flops / flops_per_s, launch.bytes / bytes_per_s);
}

std::span<const Card> cards() {
  return kCards;
}

const Card* find_card(std::string_view text) {
  const auto same = [](char a, char b) {
    return std::toupper(static_cast<unsigned char>(a)) == std::toupper(static_cast<unsigned char>(b));
  };
  for (const Card& card : kCards) {
    const std::string_view name = card.name;
    if (std::search(text.begin(), text.end(), name.begin(), name.end(), same) != text.end()) return &card;
  }
  return nullptr;
}

}  // namespace zhgpt
