// Split: a model in three parts that run one after the other, each on its own machine or device; and merged
// again, to the same bytes. (The model location of split learning: P. Vepakomma, O. Gupta, T. Swedish, R.
// Raskar, "Split learning for health", 2018.)
//
//   bottom   embeddings and layers 0 … s1-1      tokens -> residual stream
//   trunk    layers s1 … s2-1                    residual stream -> residual stream
//   top      layers s2 … L-1, ln_f and the head  residual stream -> logits
//
// A part is a checkpoint like any other, with whatever kinds of tensors the whole one has, moments too. Its
// layers count from 0. wte is both embedding and head, so bottom and top each have a copy. What merging needs
// (where each tensor stood, the whole's progress and state hash) lies in its progress: docs/split.md.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "zhgpt/checkpoint.h"

namespace zhgpt {

enum class Part { bottom, trunk, top };
inline constexpr Part kParts[] = {Part::bottom, Part::trunk, Part::top};

const char* part_name(Part part);
Part parse_part(std::string_view name);  // throws ConfigError

struct SplitPoints {
  std::int64_t first = 0, second = 0;

  // "2,10". Throws ConfigError unless there are exactly two whole numbers.
  static SplitPoints parse(std::string_view text);
  std::string text() const;
  // Throws ConfigError, naming both and the model's layers, unless 0 < first < second < n_layer.
  void validate(std::int64_t n_layer) const;
  bool operator==(const SplitPoints&) const = default;
};

// Which layers of the whole model a part has: [begin, end).
struct LayerRange {
  std::int64_t begin = 0, end = 0;
  std::int64_t count() const { return end - begin; }
};
LayerRange layers_of(Part part, const SplitPoints& at, std::int64_t n_layer);

// What a part says of itself and of the model that it was cut from.
struct PartInfo {
  Part part = Part::bottom;
  SplitPoints at;
  std::int64_t n_layer = 0;  // of the whole model
  LayerRange layers;
  std::string parent_hash;  // state hash of the whole model, 16 hexadecimal digits
  std::string parent_file;  // its name, without directory

  std::string text() const;  // "trunk: layers 2 to 9 of the 12 of step_00000030.bin", in the user's language
};
// nullopt for a checkpoint of a whole model. Throws CheckpointError when what it says of itself is
// impossible.
std::optional<PartInfo> part_of(const Checkpoint& checkpoint);

// The state of one part, read from `whole` when it is written: only what that part holds is ever in memory.
// Writes nothing. Throws CheckpointError when `whole` is itself a part, or has a tensor that belongs to none.
Snapshot part_of_model(const Checkpoint& whole, Part part, const SplitPoints& at);

// BASE/PART/MODEL_S1-S2_PART.bin, its metadata's path, and the three directories, which may be there already.
std::string split_model_path(const std::string& base, const std::string& model, Part part,
                             const SplitPoints& at);
std::string split_metadata_path(const std::string& part_path);
void create_split_directories(const std::string& base);

// Writes a part, its directory too, and reads it back: what is returned was verified. With metadata, a JSON
// file beside it says what a person wants to know and what `open_part` will check. Throws as part_of_model
// and save_checkpoint do.
Checkpoint save_part(const std::string& path, const Checkpoint& whole, Part part, const SplitPoints& at,
                     bool with_metadata = true, bool overwrite = false);

// A part that is what it says it is: throws CheckpointError when the file is no part, or when the metadata
// beside it, if there are any, say otherwise.
Checkpoint open_part(const std::string& path);

// The three parts of one split, in the order bottom, trunk, top, whatever order the paths have. Throws
// CheckpointError when one is missing or comes from another model or split.
using SplitParts = std::array<Checkpoint, 3>;
SplitParts open_parts(const std::array<std::string, 3>& paths);

// The model that was split: tensor by tensor where it stood, proven by the state hash that its parts
// remember. Throws CheckpointError when the copies of wte differ, a tensor is missing or the hash is another.
Snapshot merged(const SplitParts& parts);

}  // namespace zhgpt
