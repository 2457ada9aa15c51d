#include "simt/settings.h"

#include <cstdlib>
#include <random>

namespace zhgpt::simt {
namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

struct Settings {
  std::uint64_t seed = from_environment("ZHGPT_SIMT_SEED", 0);
  std::mt19937_64 random{seed};
  std::size_t memory_bytes = from_environment("ZHGPT_SIMT_MEMORY", std::uint64_t{2} << 30);
};

Settings& settings() {
  static Settings instance;
  return instance;
}

}  // namespace

std::uint64_t seed() {
  return settings().seed;
}

void set_seed(std::uint64_t seed) {
  settings().seed = seed;
  settings().random.seed(seed);
}

std::size_t choose(std::size_t count) {
  Settings& s = settings();
  if (s.seed == 0) return 0;
  if (s.seed == 1) return count - 1;
  return static_cast<std::size_t>(s.random() % count);
}

std::size_t device_memory_limit() {
  return settings().memory_bytes;
}
void set_device_memory_limit(std::size_t bytes) {
  settings().memory_bytes = bytes;
}

}  // namespace zhgpt::simt
