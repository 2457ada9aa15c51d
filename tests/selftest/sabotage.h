// A backend that does one operation wrong.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>

#include "support/forwarding_backend.h"
#include "zhgpt/error.h"

namespace zhgpt::test {

enum class Damage { off_by_one, nan, failure };

// Hands everything to the CPU backend it was given; of the operation named it then spoils one number.
class Saboteur final : public ForwardingBackend {
 public:
  Saboteur(std::unique_ptr<Backend> cpu, std::string operation, Damage damage)
      : ForwardingBackend(std::move(cpu)), operation_(std::move(operation)), damage_(damage) {}
  bool packs_weights() const override { return true; }

 private:
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

#define ZHGPT_SABOTAGE(Op)                                 \
  void execute(const Op& op) override {                    \
    if (#Op == operation_ && damage_ == Damage::failure) { \
      throw DeviceError("the device was lost");            \
    }                                                      \
    cpu().run(op);                                         \
    if (#Op == operation_) spoil(op);                      \
  }
  ZHGPT_FOR_EACH_OP(ZHGPT_SABOTAGE)
#undef ZHGPT_SABOTAGE

  std::string operation_;
  Damage damage_;
};

}  // namespace zhgpt::test
