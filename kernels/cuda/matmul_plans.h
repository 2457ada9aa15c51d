// What was found to be the fastest algorithm for each product, kept in a text file from run to run.
//
// Another algorithm may sum in another order: that later runs take the plan of the first keeps their bits
// equal.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace zhgpt::cuda {

// cublasLtMatmulAlgo_t: plain words that mean the same to the same version of the library.
using MatmulAlgorithm = std::array<std::uint64_t, 8>;

class MatmulPlans {
 public:
  // "": nothing is kept. Lines that are damaged, or of another format, are passed over.
  explicit MatmulPlans(std::string path);

  // The file in $XDG_CACHE_HOME/zhgpt or ~/.cache/zhgpt; "" when neither variable names a directory.
  static std::string default_path();

  std::optional<MatmulAlgorithm> find(const std::string& key) const;
  // Adds a plan to the file and gives what it then holds for the key: a plan that another process has written
  // meanwhile stays. nullopt when the file cannot be written. REQUIRES: key without tabs and line ends.
  std::optional<MatmulAlgorithm> keep(const std::string& key, const MatmulAlgorithm& algorithm);

 private:
  void read();
  std::string path_;
  std::map<std::string, MatmulAlgorithm> plans_;
};

}  // namespace zhgpt::cuda
