// A place in a kernel's source, for reports.
#pragma once

#include <source_location>
#include <string>

namespace zhgpt::simt {

// Keeps a report's text for ever. A fault leaves the frames of its fiber without destroying what they own, so
// they must own nothing.
const char* keep(std::string text);

// Where a kernel calls the runtime: the default argument of every emulated builtin.
using Where = std::source_location;

struct Site {
  Where where;               // the call of the builtin; tells two barriers apart
  const void* pc = nullptr;  // the return address, from which inlined callers are found

  bool operator==(const Site& other) const;
  const char* text() const;
};

// "device.cuh:80 < layernorm.cu:47": the source line of a return address and those that it was inlined into,
// innermost first, the runtime's own lines left out; "" when there are no line tables.
std::string source_of(const void* pc);

}  // namespace zhgpt::simt
