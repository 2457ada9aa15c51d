#include "cuda/ledger.h"

namespace zhgpt::cuda {

Cost Ledger::total() const {
  Cost sum;
  for (const LaunchRecord& record : records_) {
    sum.flops += record.cost.flops;
    sum.bytes += record.cost.bytes;
  }
  return sum;
}

}  // namespace zhgpt::cuda
