// Checkpoints: one logical state, streamed into one file and read back only when all of it is proven.
//
// This layer knows names, shapes and bytes; it knows nothing of models, optimizers or devices. The byte-exact
// format is checkpoints/FORMAT.md; the write protocol is AtomicFile's.
//
// Format version 1 goals: every truncation and every flipped bit is detected; a hostile file with valid
// hashes can not make the reader crash, overrun, or allocate more than the file's size. Non-goals:
// compression, partial update.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "zhgpt/key_values.h"
#include "zhgpt/tensor.h"

namespace zhgpt {

// DO NOT CHANGE THESE VALUES: they are written into checkpoints.
enum class SectionKind : std::uint16_t {
  config = 1,    // KeyValues text
  progress = 2,  // KeyValues text
  vocab = 3,     // i32 code points
  history = 4,   // JSON lines
  parameter = 5,
  adam_m = 6,
  adam_v = 7,
};

using RunId = std::array<std::uint8_t, 16>;

struct TensorInfo {
  SectionKind kind = SectionKind::parameter;
  std::string name;  // [A-Za-z0-9._-]{1,255}; unique within its kind
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;

  std::int64_t bytes() const;
};

// Fills `to` with the tensor's bytes from `offset` on; may read from a device.
using TensorReadFunction = std::function<void(std::int64_t offset, std::span<std::byte> to)>;

struct TensorSource {
  TensorInfo info;
  TensorReadFunction read;
};

// What is saved. Tensors are written in the order given.
struct Snapshot {
  std::int64_t step = 0;
  RunId run_id{};
  KeyValues config;
  KeyValues progress;
  std::vector<std::int32_t> vocab;
  std::string history;
  std::vector<TensorSource> tensors;
};

// Writes the file atomically through one buffer of at most 16 MiB of host memory. Throws IoError, or
// CheckpointError when the snapshot can not be a checkpoint: a float that is not finite (a resumable file
// never holds one), a bad or repeated name, an empty dimension. An existing file is refused unless
// `overwrite`.
void save_checkpoint(const std::string& path, const Snapshot& snapshot, bool overwrite = false);

class CheckpointFile;  // the open file and where its sections lie (src/io/checkpoint_file.h)

class Checkpoint {
 public:
  // Reads and verifies the whole file: structure by rules R1-R10 (FORMAT.md), every hash, every float finite.
  // Throws CheckpointError "file: byte offset: rule, found, expected, what to do" or IoError. Accepts regular
  // files only.
  static Checkpoint open(const std::string& path);

  const std::string& path() const { return path_; }
  std::int64_t step() const { return step_; }
  const RunId& run_id() const { return run_id_; }
  const KeyValues& config() const { return config_; }
  const KeyValues& progress() const { return progress_; }
  const std::vector<std::int32_t>& vocab() const { return vocab_; }
  const std::string& history() const { return history_; }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  std::int64_t file_bytes() const { return file_bytes_; }
  // One hash over every tensor's kind, name, dtype, shape and bytes, in order: equal states, equal hash.
  std::uint64_t state_hash() const { return state_hash_; }

  // Copies one tensor into `to` (exactly its size), hashing again on the way. Throws CheckpointError when it
  // is not there or has changed since open.
  void read(SectionKind kind, const std::string& name, std::span<std::byte> to) const;

 private:
  std::shared_ptr<const CheckpointFile> file_;
  std::string path_;
  std::int64_t step_ = 0, file_bytes_ = 0;
  RunId run_id_{};
  KeyValues config_, progress_;
  std::vector<std::int32_t> vocab_;
  std::string history_;
  std::vector<TensorInfo> tensors_;
  std::uint64_t state_hash_ = 0;
};

// The state hash of what a snapshot would save.
std::uint64_t state_hash(const Snapshot& snapshot);

// What a file's header says, after its own hash only: to order files, never to trust one. nullopt when it has
// none.
struct CheckpointHeader {
  std::int64_t step = 0;
  RunId run_id{};
  std::uint64_t hash = 0;  // of the header itself
};
std::optional<CheckpointHeader> peek_checkpoint(const std::string& path) noexcept;

// The newest checkpoint in a directory that is whole: highest step whose file verifies. `skipped`, when
// given, receives a line for each newer file that did not. Nothing is judged by name or time. nullopt when
// there is none.
std::optional<Checkpoint> open_newest_checkpoint(const std::string& directory,
                                                 std::vector<std::string>* skipped = nullptr);

}  // namespace zhgpt
