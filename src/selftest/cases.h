// What the selftest runs: every operation of ops.h at some shapes, with operands and bounds.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "selftest/operands.h"

namespace zhgpt::selftest {

// What an output may be off by: `terms` is the size of what is added up for one number, where it may cancel.
// `rounded_inside`: in bf16 or tf32 some of what is added up is itself rounded on the way.
struct Output {
  const char* name;
  Tensor tensor;
  double terms = 1;
  bool rounded_inside = false;
};

// An operation with its operands in place, which may be run again and again.
struct Prepared {
  std::function<void()> run;
  std::vector<Output> outputs;
};

struct Case {
  std::string name, shape;
  // `cpu` computes what an operation is given by others before it. Called for the device and for the CPU.
  std::function<Prepared(Operands& operands, Backend& cpu)> prepare;
  bool has_reals = true;  // false: no operand follows the dtype
  bool packed = false;    // only where Backend::packs_weights, in f32
  bool timed = false;
};

// `quick`: small odd shapes only; else those of real models too, which are timed.
std::vector<Case> operation_cases(bool quick);

}  // namespace zhgpt::selftest
