// A backend that does one operation wrong.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "cpu/packed_int8.h"
#include "support/forwarding_backend.h"
#include "zhgpt/error.h"

namespace zhgpt::test {

enum class Damage { off_by_one, nan, failure, one_factor, cut_off };

// Hands everything to the CPU backend it was given; of the operation named it then spoils one number, or
// before that what an int8 product reads: all channels get the factor of the first, or rows are cut off to
// whole multiples of their factor instead of rounded.
class Saboteur final : public ForwardingBackend {
 public:
  Saboteur(std::unique_ptr<Backend> cpu, std::string operation, Damage damage)
      : ForwardingBackend(std::move(cpu)), operation_(std::move(operation)), damage_(damage) {}
  bool packs_weights() const override { return true; }

 private:
  template <class Op>
  void spoil_operands(const Op&) const {}
  void spoil_operands(const PackedLinear& op) const {
    if (op.weight.type != WeightType::int8) return;
    float* factors = cpu::factors_of(op.weight);
    if (damage_ == Damage::one_factor) std::fill_n(factors, op.weight.OC, factors[0]);
    for (std::int64_t n = 0; damage_ == Damage::cut_off && n < op.inp.dim(0); ++n) {
      const std::span row(op.inp.rows(n, 1).as<float>(), static_cast<std::size_t>(op.inp.dim(1)));
      const float factor = std::abs(*std::max_element(row.begin(), row.end(), less_in_size)) / 127;
      for (float& x : row) x = std::trunc(x / factor) * factor;
    }
  }
  static bool less_in_size(float a, float b) { return std::abs(a) < std::abs(b); }

  // The last number of the output that comes first; of operations on the state, what they set.
  template <class Op>
  void spoil(const Op& op) const {
    if constexpr (requires { op.params; }) {
      spoil(op.params);
    } else if constexpr (requires { op.out.OC; }) {
      ++*static_cast<std::uint8_t*>(op.out.data);  // a packed weight is no tensor
    } else if constexpr (
        requires { op.state->loss; } && !requires { op.tokens; }) {
      StepState& state = *op.state;
      ++state.step;
      for (float* number : {&state.learning_rate, &state.loss, &state.grad_norm}) spoil(*number);
    } else {
      spoil(reinterpret_cast<const Tensor&>(op));  // its first member
    }
  }
  void spoil(const Tensor& output) const {
    const std::int64_t last = output.numel() - 1;
    if (output.dtype == DType::i32) {
      ++output.as<std::int32_t>()[last];
    } else {
      spoil(output.as<float>()[last]);
    }
  }
  void spoil(float& number) const { number = damage_ == Damage::nan ? std::nanf("") : number + 1; }

#define ZHGPT_SABOTAGE(Op)                                      \
  void execute(const Op& op) override {                         \
    if (#Op == operation_ && damage_ == Damage::failure) {      \
      throw DeviceError("the device was lost");                 \
    }                                                           \
    if (#Op == operation_) spoil_operands(op);                  \
    cpu().run(op);                                              \
    if (#Op == operation_ && damage_ <= Damage::nan) spoil(op); \
  }
  ZHGPT_FOR_EACH_OP(ZHGPT_SABOTAGE)
#undef ZHGPT_SABOTAGE

  std::string operation_;
  Damage damage_;
};

}  // namespace zhgpt::test
