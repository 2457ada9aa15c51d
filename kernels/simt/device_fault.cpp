#include "simt/device_fault.h"

#include <utility>

namespace zhgpt::simt {
namespace {

std::string& fault() {
  static std::string report;
  return report;
}

}  // namespace

const std::string& device_fault() {
  return fault();
}
void set_device_fault(std::string report) {
  if (fault().empty()) fault() = std::move(report);
}
void clear_device_fault() {
  fault().clear();
}

}  // namespace zhgpt::simt
