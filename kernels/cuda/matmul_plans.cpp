#include "cuda/matmul_plans.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string_view>

#include "zhgpt/atomic_file.h"
#include "zhgpt/error.h"

namespace zhgpt::cuda {
namespace {

// FNV-1a (G. Fowler, L. Noll, K. Vo): against damage, not against malice.
std::uint64_t checksum(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

std::string hexadecimal(std::uint64_t word) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(word));
  return text;
}

// key TAB eight words TAB checksum of what is before
std::string line_of(const std::string& key, const MatmulAlgorithm& algorithm) {
  std::string line = key + '\t';
  for (const std::uint64_t word : algorithm) line += hexadecimal(word);
  return line + '\t' + hexadecimal(checksum(line));
}

// False when `line` is not exactly what line_of would have written.
bool parse(const std::string& line, std::string& key, MatmulAlgorithm& algorithm) {
  const std::size_t tab = line.find('\t');
  if (tab == std::string::npos || line.size() != tab + 1 + 16 * algorithm.size() + 1 + 16) return false;
  key = line.substr(0, tab);
  for (std::size_t i = 0; i < algorithm.size(); ++i) {
    algorithm[i] = std::strtoull(line.substr(tab + 1 + 16 * i, 16).c_str(), nullptr, 16);
  }
  return line == line_of(key, algorithm);
}

}  // namespace

MatmulPlans::MatmulPlans(std::string path) : path_(std::move(path)) {
  read();
}

std::string MatmulPlans::default_path() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  if (cache && *cache == '/') return std::string(cache) + "/zhgpt/matmul_plans.txt";  // others count as unset
  if (home && *home == '/') return std::string(home) + "/.cache/zhgpt/matmul_plans.txt";
  return "";
}

void MatmulPlans::read() {
  if (path_.empty()) return;
  try {
    std::istringstream text(read_text_file(path_));
    std::string key;
    MatmulAlgorithm algorithm;
    for (std::string line; std::getline(text, line);) {
      if (parse(line, key, algorithm)) plans_.insert_or_assign(key, algorithm);
    }
  } catch (const IoError&) {
    // There is none yet, or it is of no use: products are then measured again.
  }
}

std::optional<MatmulAlgorithm> MatmulPlans::find(const std::string& key) const {
  const auto found = plans_.find(key);
  if (found == plans_.end()) return std::nullopt;
  return found->second;
}

std::optional<MatmulAlgorithm> MatmulPlans::keep(const std::string& key, const MatmulAlgorithm& algorithm) {
  if (path_.empty()) return std::nullopt;
  read();
  const MatmulAlgorithm kept = plans_.try_emplace(key, algorithm).first->second;
  std::string text;
  for (const auto& [other, plan] : plans_) text += line_of(other, plan) + '\n';
  try {
    std::error_code ignored;  // if it fails, so does writing
    std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), ignored);
    write_text_file(path_, text);
  } catch (const IoError&) {
    return std::nullopt;
  }
  return kept;
}

}  // namespace zhgpt::cuda
