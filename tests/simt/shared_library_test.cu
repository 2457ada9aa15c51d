// Loading a library late: its functions, and what is said when it or one of them is missing.
#include "cuda/shared_library.h"

#include "simt/faults.h"

namespace zhgpt::test {
namespace {

using cuda::SharedLibrary;

TEST(SharedLibrary, TakesTheFirstThatIsThere) {
  const SharedLibrary library({"libno-such-library.so.1", "libm.so.6"}, "package");
  double (*cosine)(double) = nullptr;
  library.find("cos", cosine);
  EXPECT_EQ(cosine(0), 1.0);
}

TEST(SharedLibrary, SaysWhichFileIsMissingAndWhatHoldsIt) {
  EXPECT_TRUE(says(fault_of([] {
                     SharedLibrary({"libno-such.so.1", "/nowhere/libno-such.so.1"}, "some package");
                   }),
                   {"libno-such.so.1 cannot be loaded", "/nowhere/libno-such.so.1", "Install some package"}));
}

TEST(SharedLibrary, SaysWhichFunctionIsMissing) {
  void (*function)() = nullptr;
  EXPECT_TRUE(
      says(fault_of([&] { SharedLibrary({"libm.so.6"}, "package").find("no_such_function", function); }),
           {"libm.so.6 has no no_such_function"}));
}

}  // namespace
}  // namespace zhgpt::test
