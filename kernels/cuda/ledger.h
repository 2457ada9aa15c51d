// What launches cost: their number, arithmetic and bytes.
#pragma once

#include <vector_types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "zhgpt/cards.h"

namespace zhgpt::cuda {

struct LaunchShape {
  dim3 grid, block;
  std::size_t shared_bytes = 0;  // dynamic
};

// What a launch computes and moves to and from device memory at least.
struct Cost {
  double flops = 0, bytes = 0;
  Arithmetic arithmetic = Arithmetic::fp32;
};

struct LaunchRecord {
  const char* name;  // a literal
  Cost cost;
  LaunchShape shape;
};

class Ledger {
 public:
  void add(const LaunchRecord& record) { records_.push_back(record); }
  void clear() { records_.clear(); }

  const std::vector<LaunchRecord>& records() const { return records_; }  // in order of launch
  std::int64_t kernels() const { return static_cast<std::int64_t>(records_.size()); }
  Cost total() const;  // arithmetic of all kinds

 private:
  std::vector<LaunchRecord> records_;
};

}  // namespace zhgpt::cuda
