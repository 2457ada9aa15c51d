// Checkpoints: one logical state, streamed into one file and read back only when all of it is proven.
//
// This layer knows names, shapes and bytes; it knows nothing of models, optimizers or devices. The state can
// be kept in four formats (formats.h); .bin is the native one. Their byte-exact description is
// checkpoints/FORMAT.md; the write protocol is AtomicFile's.
//
// Goals, of all four: every truncation and every flipped bit is detected; a hostile file with valid hashes
// can not make the reader crash, overrun, or allocate more than the file's size and 64 MiB. Non-goals:
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

// DO NOT CHANGE THE ORDER: fixtures and messages follow it.
enum class Format { binary, json, msgpack, safetensors };

class Contents;  // what a reader has proven (src/io/contents.h)

// A checkpoint that was read: a handle, cheap to copy.
class Checkpoint {
 public:
  // Reads and verifies the whole file, of whichever format its content says: structure by rules R1-R10
  // (FORMAT.md), every hash, every float finite. Throws CheckpointError "file: byte offset: rule, found,
  // expected, what to do" or IoError. Accepts regular files only.
  static Checkpoint open(const std::string& path);

  const std::string& path() const;
  Format format() const;
  std::int64_t step() const;
  const RunId& run_id() const;
  const KeyValues& config() const;
  const KeyValues& progress() const;
  const std::vector<std::int32_t>& vocab() const;
  const std::string& history() const;
  const std::vector<TensorInfo>& tensors() const;
  std::int64_t file_bytes() const;
  // One hash over every tensor's kind, name, dtype, shape and bytes, in order: equal states, equal hash,
  // whatever the format.
  std::uint64_t state_hash() const;

  // Copies a tensor, or its bytes from `offset` on, into `to`, proving again that they are those that were
  // verified. The first asks for exactly the tensor's size. Throws CheckpointError when it is not there, or
  // the file has changed.
  void read(SectionKind kind, const std::string& name, std::span<std::byte> to) const;
  void read(SectionKind kind, const std::string& name, std::int64_t offset, std::span<std::byte> to) const;
  // The tensor where it lies: only of a .bin in memory (load_model_bytes), 4096-aligned as that memory is;
  // otherwise, and when there is no such tensor, empty.
  std::span<const std::byte> view(SectionKind kind, const std::string& name) const;

 private:
  friend Checkpoint make_checkpoint(std::shared_ptr<const Contents> contents);
  std::shared_ptr<const Contents> contents_;
};

// What a checkpoint holds, to be written again: tensors are read from it when they are asked for.
Snapshot snapshot_of(const Checkpoint& checkpoint);

// Writes the file atomically, in the format that the path's extension names (.bin for one that names none),
// through buffers of at most 64 MiB in all. Throws IoError, or CheckpointError when the snapshot can not be a
// checkpoint: a float that is not finite (a resumable file never holds one), a bad or repeated name, an empty
// dimension. An existing file is refused unless `overwrite`.
void save_checkpoint(const std::string& path, const Snapshot& snapshot, bool overwrite = false);

// The state hash of what a snapshot would save.
std::uint64_t state_hash(const Snapshot& snapshot);

// What the header of a .bin says, after its own hash only: to order files, never to trust one. nullopt when
// it has none.
struct CheckpointHeader {
  std::int64_t step = 0;
  RunId run_id{};
  std::uint32_t incompat = 0;  // feature bits that a reader must know
  std::uint64_t hash = 0;      // of the header itself
};
std::optional<CheckpointHeader> peek_checkpoint(const std::string& path) noexcept;

// The newest checkpoint in a directory that is whole: highest step whose file verifies. `skipped`, when
// given, receives a line for each newer file that did not. Only NAME.bin, which is what runs write: a
// converted copy in another format is taken where it is named. Nothing is judged by name or time. nullopt
// when there is none.
std::optional<Checkpoint> open_newest_checkpoint(const std::string& directory,
                                                 std::vector<std::string>* skipped = nullptr);

}  // namespace zhgpt
