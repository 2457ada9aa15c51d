// Runs a target over its seeds and over every file of a directory: what a fuzzer once found stays mended, on
// machines without one.
//   replay_NAME CORPUS
#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "fuzz/fuzz.h"

int main(int count, char** arguments) {
  namespace fs = std::filesystem;
  if (count != 2) return 2;
  std::string pattern = (fs::temp_directory_path() / "zhgpt-seeds-XXXXXX").string();
  const fs::path seeds = ::mkdtemp(pattern.data());
  zhgpt::fuzz::write_seeds(seeds.string());
  std::vector<fs::path> inputs;
  for (const fs::path& directory : {seeds, fs::path(arguments[1])}) {
    for (const auto& entry : fs::directory_iterator(directory)) inputs.push_back(entry.path());
  }
  std::sort(inputs.begin(), inputs.end());
  for (const fs::path& input : inputs) {
    std::printf("%s\n", input.filename().c_str());
    std::fflush(stdout);  // so that a crash says which one it was
    std::ifstream file(input, std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    // A copy of exactly this size, so that sanitizers see a byte read too far.
    const std::vector<std::uint8_t> exact(bytes.begin(), bytes.end());
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
  }
  fs::remove_all(seeds);
  std::printf("%zu inputs\n", inputs.size());
  return inputs.empty() ? 1 : 0;
}
