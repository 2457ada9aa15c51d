// make_backend, make_dry_backend: from the name of a device to its backend. The only place that names them.
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <string_view>

#include "backend/factories.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

// Cores' worth of time that a container grants, or 0 when it sets no limit. Inside a container its own
// control group is seen at the mount's root: version 2 has "max|quota period" in one file, version 1 has a
// file for each.
double cgroup_cores() {
  std::string quota;
  double period = 0;
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> quota >> period) {
    return quota == "max" || period <= 0 ? 0 : std::strtod(quota.c_str(), nullptr) / period;
  }
  std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
      v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  double quota_us = 0;
  if (v1_quota >> quota_us && v1_period >> period && quota_us > 0 && period > 0) return quota_us / period;
  return 0;
}

int usable_cores() {
  int cores = 1;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = std::max(1, CPU_COUNT(&set));
  const double granted = cgroup_cores();
  return granted > 0 ? std::clamp(static_cast<int>(std::ceil(granted)), 1, cores) : cores;
}

// "cuda" is device 0, "cuda:N" device N; anything else is -1.
int cuda_ordinal(std::string_view device) {
  constexpr std::string_view kName = "cuda";
  if (device == kName) return 0;
  if (device.substr(0, kName.size() + 1) != "cuda:") return -1;
  device.remove_prefix(kName.size() + 1);
  int ordinal = -1;
  const auto [end, error] = std::from_chars(device.data(), device.data() + device.size(), ordinal);
  return error == std::errc{} && end == device.data() + device.size() ? ordinal : -1;
}

// What the names mean here.
struct Choice {
  Choice(const std::string& device, int wanted_threads) {
    constexpr int kMostThreads = 1024;
    if (wanted_threads < 0 || wanted_threads > kMostThreads)
      throw ConfigError(tr(Msg::bad_thread_count, wanted_threads, kMostThreads));
    const bool automatic = device == "auto";
    if (device == "cpu" || (automatic && !cuda_present())) {
      threads = wanted_threads > 0 ? wanted_threads : usable_cores();
      return;
    }
    ordinal = automatic ? 0 : cuda_ordinal(device);
    if (ordinal < 0) throw ConfigError(tr(Msg::unknown_device, device));
  }
  int ordinal = -1;  // of a CUDA device; below 0: the CPU
  int threads = 0;   // of the CPU
};

}  // namespace

std::unique_ptr<Backend> make_backend(const std::string& device, int threads, const CudaOptions& options) {
  const Choice choice(device, threads);
  return choice.ordinal < 0 ? make_cpu_backend(choice.threads) : make_cuda_backend(choice.ordinal, options);
}

std::unique_ptr<Backend> make_dry_backend(const std::string& device, int threads, const CudaOptions& options,
                                          std::int64_t memory_bytes) {
  const Choice choice(device, threads);
  return choice.ordinal < 0 ? make_dry_cpu_backend(choice.threads, memory_bytes)
                            : make_dry_cuda_backend(options, memory_bytes);
}

Ceilings measure_cpu_ceilings(int threads) {
  return measure_ceilings_of_cpu(Choice("cpu", threads).threads);
}

}  // namespace zhgpt
