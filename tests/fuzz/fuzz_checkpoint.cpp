// libFuzzer target: any bytes given to the checkpoint reader are refused with a CheckpointError, or are a checkpoint
// whose every tensor can be read and is finite. Built and run by scripts/fuzz.sh; ZHGPT_FUZZ_SEEDS=DIR writes seeds.
#include <fcntl.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "zhgpt/checkpoint.h"
#include "zhgpt/error.h"

namespace {

using zhgpt::SectionKind;

void require(bool holds) {
  if (!holds) std::abort();
}

std::string input_path() {
  const auto memory = std::filesystem::path("/dev/shm");
  const auto directory = std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
  return (directory / ("zhgpt-fuzz-" + std::to_string(::getpid()) + ".bin")).string();
}

void write_seeds(const std::string& directory) {
  zhgpt::Snapshot snapshot;
  zhgpt::save_checkpoint(directory + "/empty.bin", snapshot, true);
  snapshot.config.set_integer("n_layer", 1);
  snapshot.vocab = {-1, -2, 0x4E00};
  snapshot.history = "{}\n";
  const auto ones = [](std::int64_t, std::span<std::byte> to) { std::memset(to.data(), 1, to.size()); };
  snapshot.tensors.push_back({{SectionKind::parameter, "a", zhgpt::DType::f32, {2, 2}}, ones});
  zhgpt::save_checkpoint(directory + "/one.bin", snapshot, true);
  snapshot.tensors.push_back({{SectionKind::adam_m, "a", zhgpt::DType::bf16, {3}}, ones});
  snapshot.tensors.push_back({{SectionKind::adam_v, "a", zhgpt::DType::i64, {}}, ones});
  zhgpt::save_checkpoint(directory + "/three.bin", snapshot, true);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (const char* directory = std::getenv("ZHGPT_FUZZ_SEEDS")) {
    write_seeds(directory);
    std::exit(0);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string path = input_path();
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  require(fd >= 0 && ::write(fd, data, size) == static_cast<ssize_t>(size) && ::close(fd) == 0);
  try {
    const auto checkpoint = zhgpt::Checkpoint::open(path);
    for (const zhgpt::TensorInfo& info : checkpoint.tensors()) {
      require(info.bytes() > 0 && info.bytes() < static_cast<std::int64_t>(size));
      std::vector<std::byte> bytes(static_cast<std::size_t>(info.bytes()));
      checkpoint.read(info.kind, info.name, bytes);
      for (std::size_t at = 0; info.dtype == zhgpt::DType::f32 && at < bytes.size(); at += sizeof(float)) {
        float value;
        std::memcpy(&value, bytes.data() + at, sizeof value);
        require(std::isfinite(value));
      }
    }
  } catch (const zhgpt::CheckpointError&) {
  }
  ::unlink(path.c_str());
  return 0;
}
