#include "cuda/ledger.h"

#include <algorithm>

namespace zhgpt::cuda {

Cost Ledger::total() const {
  Cost sum;
  for (const LaunchRecord& record : records_) {
    sum.flops += record.cost.flops;
    sum.bytes += record.cost.bytes;
  }
  return sum;
}

double Ledger::roofline_s(const DevicePeak& peak) const {
  double seconds = 0;
  for (const auto& [name, cost, shape] : records_) {
    seconds += peak.launch_s + std::max(cost.flops / peak.flops_per_s, cost.bytes / peak.bytes_per_s);
  }
  return seconds;
}

}  // namespace zhgpt::cuda
