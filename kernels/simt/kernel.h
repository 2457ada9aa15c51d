// Running a whole kernel.
#pragma once

#include <string>

#include "simt/block.h"

namespace zhgpt::simt {

// Runs all blocks. Returns the report of the first fault, or "".
std::string execute(const Kernel& kernel);

}  // namespace zhgpt::simt
