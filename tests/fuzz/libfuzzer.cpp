// The targets' side of libFuzzer that is the same for all: ZHGPT_FUZZ_SEEDS=DIR writes seeds and ends.
#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (const char* directory = std::getenv("ZHGPT_FUZZ_SEEDS")) {
    zhgpt::fuzz::write_seeds(directory);
    std::exit(0);
  }
  return 0;
}
