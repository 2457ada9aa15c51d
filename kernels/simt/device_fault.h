// What went wrong on the device. As with CUDA a fault stays: every later call fails with
// cudaErrorLaunchFailure, whose text (cudaGetErrorString) is the report, until cudaDeviceReset.
#pragma once

#include <string>

namespace zhgpt::simt {

const std::string& device_fault();          // "" when all is well
void set_device_fault(std::string report);  // the first one is kept
void clear_device_fault();

}  // namespace zhgpt::simt
