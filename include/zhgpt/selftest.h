// Selftest: does this device compute what the contract says, and how fast beside what it can?
//
// Every operation is run on the device and, in double, by the CPU backend, on the same numbers; then two
// layers are trained for twenty steps on both. No file is written but the cache of the products' plans.
#pragma once

#include <functional>
#include <string>

#include "zhgpt/ceilings.h"

namespace zhgpt {

// One line of the table: an operation at one shape, or one property of a training step.
struct SelftestLine {
  std::string name{}, shape{};
  std::string output{};         // the one whose worst number this is
  double error = 0, bound = 0;  // of its worst number: how far it is off, and how far it may be
  bool ok = false;
  Measured measured{};  // median of several runs; ms is 0 where nothing was timed
  double share = 0;  // of the time measured, what the ceilings leave no way around; 0 where it is not known
};
using SelftestReport = std::function<void(const SelftestLine&)>;

// Reports a line for each operation and shape. `quick`: small odd shapes only, and no times. Throws
// DeviceError, naming the operation, when the device fails.
void check_operations(Backend& device, Precision precision, bool quick, const Ceilings& ceilings,
                      const SelftestReport& report);

// Reports how a model of two layers trains: each gradient beside the CPU's in double, the loss of 20 steps
// beside the CPU's, the same bits from two runs and from a recorded step.
void check_training(Backend& device, Precision precision, const SelftestReport& report);

}  // namespace zhgpt
