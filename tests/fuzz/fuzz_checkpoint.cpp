// Target: any bytes given to the checkpoint reader are refused with a CheckpointError, or are a checkpoint
// whose every tensor can be read, is finite, and is the same when it is read again.
#include <cmath>
#include <cstring>

#include "fuzz/fuzz.h"
#include "zhgpt/checkpoint.h"
#include "zhgpt/error.h"
#include "zhgpt/formats.h"

namespace zhgpt::fuzz {

void write_seeds(const std::string& directory) {
  const auto seed = [&](const std::string& name, const Snapshot& snapshot) {
    save_checkpoint(directory + "/" + name + "." ZHGPT_FUZZ_FORMAT, snapshot, true);
  };
  Snapshot snapshot;
  seed("empty", snapshot);
  snapshot.config.set_integer("n_layer", 1);
  snapshot.vocab = {-1, -2, 0x4E00};
  snapshot.history = "{}\n";
  const auto ones = [](std::int64_t, std::span<std::byte> to) { std::memset(to.data(), 1, to.size()); };
  snapshot.tensors.push_back({{SectionKind::parameter, "a", DType::f32, {2, 2}}, ones});
  seed("one", snapshot);
  snapshot.tensors.push_back({{SectionKind::adam_m, "a", DType::bf16, {3}}, ones});
  snapshot.tensors.push_back({{SectionKind::adam_v, "a", DType::i64, {}}, ones});
  seed("three", snapshot);
}

}  // namespace zhgpt::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zhgpt;
  try {
    const auto checkpoint = load_model_bytes(std::as_bytes(std::span(data, size)), "input");
    for (const TensorInfo& info : checkpoint.tensors()) {
      ZHGPT_REQUIRE(info.bytes() > 0 && info.bytes() < 8 * static_cast<std::int64_t>(size));
      std::vector<std::byte> bytes(static_cast<std::size_t>(info.bytes()));
      checkpoint.read(info.kind, info.name, bytes);
      for (std::size_t at = 0; info.dtype == DType::f32 && at < bytes.size(); at += sizeof(float)) {
        float value;
        std::memcpy(&value, bytes.data() + at, sizeof value);
        ZHGPT_REQUIRE(std::isfinite(value));
      }
    }
    // A vocabulary or a record may be read that would not be written; what is written is what was read.
    const fuzz::InputFile file(nullptr, 0);
    try {
      save_model(file.path(), snapshot_of(checkpoint), checkpoint.format(), true);
    } catch (const CheckpointError&) {
      return 0;
    }
    ZHGPT_REQUIRE(Checkpoint::open(file.path()).state_hash() == checkpoint.state_hash());
  } catch (const CheckpointError&) {
  }
  return 0;
}
