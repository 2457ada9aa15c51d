// What the program needs to start.
#include <gtest/gtest.h>

#include "cli/process.h"
#include "zhgpt/backend.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt::test {
namespace {

bool built_with_cuda() {
  try {
    make_backend("cuda", 1);
  } catch (const DeviceError& error) {
    return error.what() != tr(Msg::no_cuda_in_this_build, "cuda:0");
  }
  return true;
}

// The dynamic linker's own list, as ldd prints it.
TEST(Start, NeedsNoLibraryOfCuda) {
  if (!built_with_cuda()) GTEST_SKIP() << "a build without CUDA";
  const ProcessResult result = run_program({.environment = {{"LD_TRACE_LOADED_OBJECTS", "1"}}});
  ASSERT_NE(result.out.find("libc.so"), std::string::npos) << result.out;
  for (const char* library : {"libcublas", "libcudart", "libcudnn", "libcuda."}) {
    EXPECT_EQ(result.out.find(library), std::string::npos) << result.out;
  }
}

}  // namespace
}  // namespace zhgpt::test
