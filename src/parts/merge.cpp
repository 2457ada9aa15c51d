// From three parts to the model that they were cut from.
#include <algorithm>
#include <optional>

#include "base/fingerprint.h"
#include "parts/places.h"
#include "parts/tensor_names.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"
#include "zhgpt/split.h"

namespace zhgpt {
namespace {

constexpr std::int64_t kMostTensors = 1 << 16;  // in one checkpoint

std::string whole_progress(const Checkpoint& part) {
  return part.progress().get_quoted("whole_progress");
}

// What all parts of one split have in common.
void require_same_split(const Checkpoint& a, const Checkpoint& b) {
  const auto require = [&](Msg what, const std::string& of_a, const std::string& of_b) {
    if (of_a != of_b)
      throw CheckpointError(tr(Msg::split_foreign_part, a.path(), b.path(), tr(what), of_a, of_b));
  };
  const PartInfo in_a = part_of(a).value(), in_b = part_of(b).value();
  require(Msg::split_word_parent, in_a.parent_hash, in_b.parent_hash);
  require(Msg::split_word_points, in_a.at.text(), in_b.at.text());
  if (a.step() != b.step() || a.run_id() != b.run_id() || a.config().to_string() != b.config().to_string() ||
      a.vocab() != b.vocab() || a.history() != b.history() || whole_progress(a) != whole_progress(b)) {
    require(Msg::split_word_state, a.path(), b.path());
  }
}

// The two copies of wte, piece by piece.
void require_equal(const TensorSource& a, const std::string& path_a, const TensorSource& b,
                   const std::string& path_b) {
  const auto fail = [&](std::int64_t byte) {
    return CheckpointError(
        tr(Msg::split_copies_differ, path_a, path_b, a.info.name, byte / dtype_bytes(a.info.dtype)));
  };
  if (a.info.dtype != b.info.dtype || a.info.shape != b.info.shape) throw fail(0);
  constexpr std::int64_t kPiece = 1 << 20;
  std::vector<std::byte> in_a, in_b;
  for (std::int64_t offset = 0; offset < a.info.bytes(); offset += kPiece) {
    const auto size = static_cast<std::size_t>(std::min(kPiece, a.info.bytes() - offset));
    in_a.resize(size);
    in_b.resize(size);
    a.read(offset, in_a);
    b.read(offset, in_b);
    const auto differ = std::ranges::mismatch(in_a, in_b).in1;
    if (differ != in_a.end()) throw fail(offset + (differ - in_a.begin()));
  }
}

struct Placed {
  TensorSource tensor;
  const Checkpoint* from;
};

// The whole model's tensors, where they stood.
std::vector<std::optional<Placed>> placed_tensors(const SplitParts& parts) {
  const std::int64_t n = parts[0].progress().get_integer("whole_tensors");
  if (n < 1 || n > kMostTensors)
    throw ConfigError(tr(Msg::out_of_range, "whole_tensors", n, 1, kMostTensors));
  std::vector<std::optional<Placed>> placed(static_cast<std::size_t>(n));
  for (const Checkpoint& part : parts) {
    const LayerRange layers = part_of(part).value().layers;
    Snapshot snapshot = snapshot_of(part);
    const std::vector<std::int64_t> places =
        parse_places(part.progress().get_quoted("whole_places"), snapshot.tensors.size(), n);
    for (std::size_t i = 0; i < places.size(); ++i) {
      TensorSource& tensor = snapshot.tensors[i];
      tensor.info.name = name_in_whole(tensor.info.name, layers);
      std::optional<Placed>& place = placed[static_cast<std::size_t>(places[i])];
      if (place) {
        require_equal(place->tensor, place->from->path(), tensor, part.path());
      } else {
        place = Placed{std::move(tensor), &part};
      }
    }
  }
  return placed;
}

}  // namespace

SplitParts open_parts(const std::array<std::string, 3>& paths) {
  std::array<std::optional<Checkpoint>, 3> found;
  for (const std::string& path : paths) {
    Checkpoint part = open_part(path);
    found[static_cast<std::size_t>(part_of(part)->part)] = std::move(part);
  }
  for (Part part : kParts) {
    if (!found[static_cast<std::size_t>(part)]) {
      throw CheckpointError(tr(Msg::split_part_missing, part_name(part), paths[0], paths[1], paths[2]));
    }
  }
  SplitParts parts{*found[0], *found[1], *found[2]};
  try {
    require_same_split(parts[0], parts[1]);
    require_same_split(parts[0], parts[2]);
  } catch (const ConfigError& error) {  // a record that is missing or no text
    throw CheckpointError(tr(Msg::split_bad_part, parts[0].path(), error.what()));
  }
  return parts;
}

Snapshot merged(const SplitParts& parts) {
  Snapshot whole = snapshot_of(parts[0]);
  whole.tensors.clear();
  try {
    whole.progress = KeyValues::parse(whole_progress(parts[0]), "whole_progress");
    const std::vector<std::optional<Placed>> placed = placed_tensors(parts);
    for (const auto& place : placed) {
      if (place) whole.tensors.push_back(place->tensor);
    }
    if (whole.tensors.size() != placed.size()) {
      throw CheckpointError(tr(Msg::split_tensor_missing, whole.tensors.size(), placed.size()));
    }
  } catch (const ConfigError& error) {
    throw CheckpointError(tr(Msg::split_bad_part, parts[0].path(), error.what()));
  }
  const std::string hash = fingerprint_text(state_hash(whole)), parent = part_of(parts[0])->parent_hash;
  if (hash != parent) throw CheckpointError(tr(Msg::split_hash_differs, hash, parent));
  return whole;
}

}  // namespace zhgpt
