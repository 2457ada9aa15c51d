// What launches cost: their number, arithmetic and bytes; and the least time that a device needs for them.
#pragma once

#include <vector_types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace zhgpt::cuda {

struct LaunchShape {
  dim3 grid, block;
  std::size_t shared_bytes = 0;  // dynamic
};

// What a launch computes and moves to and from device memory at least.
struct Cost {
  double flops = 0, bytes = 0;
};

struct LaunchRecord {
  const char* name;  // a literal
  Cost cost;
  LaunchShape shape;
};

struct DevicePeak {
  double flops_per_s, bytes_per_s;
  double launch_s;  // from one kernel of a stream to the next
};

class Ledger {
 public:
  void add(const LaunchRecord& record) { records_.push_back(record); }
  void clear() { records_.clear(); }

  const std::vector<LaunchRecord>& records() const { return records_; }  // in order of launch
  std::int64_t kernels() const { return static_cast<std::int64_t>(records_.size()); }
  Cost total() const;
  // Sum over the launches of launch_s and the longer of arithmetic and memory traffic. S. Williams, A.
  // Waterman, D. Patterson, "Roofline", CACM 2009.
  double roofline_s(const DevicePeak& peak) const;

 private:
  std::vector<LaunchRecord> records_;
};

}  // namespace zhgpt::cuda
