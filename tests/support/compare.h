// Comparison of whole tensors that NaN cannot slip through, and that says where and by how much it failed.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "zhgpt/tensor.h"

namespace zhgpt::test {

// |got - want| <= tolerance * (scale + |want|): absolute near zero, relative away from it. `scale` is the
// size of the terms that were added up, where results may cancel.
struct Tolerance {
  double relative;
  double scale = 1;
};

inline ::testing::AssertionResult close(const std::vector<double>& got, const std::vector<double>& want,
                                        Tolerance tolerance, const std::string& shape = "") {
  if (got.size() != want.size()) {
    return ::testing::AssertionFailure() << "got " << got.size() << " numbers, want " << want.size();
  }
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(got[i] - want[i]);
    const double allowed = tolerance.relative * (tolerance.scale + std::abs(want[i]));
    if (!(error <= allowed)) {  // written so that a NaN fails
      return ::testing::AssertionFailure()
             << "at index " << i << " of " << got.size() << " " << shape << ": got " << got[i] << ", want "
             << want[i] << ", error " << error << " > " << allowed;
    }
  }
  return ::testing::AssertionSuccess();
}

}  // namespace zhgpt::test
