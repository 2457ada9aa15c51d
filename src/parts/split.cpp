// The names of split models: which tensor belongs to which part, what it is called there, and what a part
// says of itself.
#include "zhgpt/split.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/fingerprint.h"
#include "parts/metadata.h"
#include "parts/places.h"
#include "parts/tensor_names.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

namespace fs = std::filesystem;

PartInfo read_part_info(const Checkpoint& checkpoint) {
  const KeyValues& p = checkpoint.progress();
  PartInfo info;
  info.part = parse_part(p.get_quoted("part"));
  info.at = SplitPoints::parse(p.get_quoted("part_split"));
  info.n_layer = checkpoint.config().get_integer("n_layer");
  info.at.validate(info.n_layer);
  info.layers = layers_of(info.part, info.at, info.n_layer);
  info.parent_hash = p.get_quoted("parent");
  parse_fingerprint(info.parent_hash);
  info.parent_file = p.get_quoted("whole_file");
  return info;
}

void create_directories_of(const fs::path& directory) {
  std::error_code error;
  if (!directory.empty()) fs::create_directories(directory, error);
  if (error) throw IoError(tr(Msg::io_failed, directory.string(), "mkdir", error.message()));
}

}  // namespace

const char* part_name(Part part) {
  switch (part) {
    case Part::bottom:
      return "bottom";
    case Part::trunk:
      return "trunk";
    case Part::top:
      return "top";
  }
  return "";
}

Part parse_part(std::string_view name) {
  for (Part part : kParts) {
    if (name == part_name(part)) return part;
  }
  throw ConfigError(tr(Msg::split_unknown_part, name));
}

SplitPoints SplitPoints::parse(std::string_view text) {
  SplitPoints at;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, at.first);
  if (first.ec == std::errc{} && first.ptr != end && *first.ptr == ',') {
    const auto second = std::from_chars(first.ptr + 1, end, at.second);
    if (second.ec == std::errc{} && second.ptr == end) return at;
  }
  throw ConfigError(tr(Msg::split_not_two_points, text));
}

std::string SplitPoints::text() const {
  return std::to_string(first) + "," + std::to_string(second);
}

void SplitPoints::validate(std::int64_t n_layer) const {
  if (!(0 < first && first < second && second < n_layer)) {
    throw ConfigError(tr(Msg::split_bad_points, first, second, n_layer));
  }
}

LayerRange layers_of(Part part, const SplitPoints& at, std::int64_t n_layer) {
  switch (part) {
    case Part::bottom:
      return {0, at.first};
    case Part::trunk:
      return {at.first, at.second};
    case Part::top:
      return {at.second, n_layer};
  }
  return {};
}

std::string PartInfo::text() const {
  return tr(Msg::split_part_text, part_name(part), layers.begin, layers.end - 1, n_layer, parent_file,
            at.text());
}

std::optional<PartInfo> part_of(const Checkpoint& checkpoint) {
  if (!checkpoint.progress().has("part")) return std::nullopt;
  try {
    return read_part_info(checkpoint);
  } catch (const Error& error) {
    throw CheckpointError(tr(Msg::split_bad_part, checkpoint.path(), error.what()));
  }
}

Snapshot part_of_model(const Checkpoint& whole, Part part, const SplitPoints& at) {
  if (const auto info = part_of(whole)) {
    throw CheckpointError(tr(Msg::split_needs_whole, whole.path(), info->text(), info->parent_file));
  }
  const std::int64_t n_layer = whole.config().get_integer("n_layer");
  at.validate(n_layer);
  Snapshot snapshot = snapshot_of(whole);
  std::vector<std::int64_t> places;
  std::vector<TensorSource> tensors;
  for (std::size_t i = 0; i < snapshot.tensors.size(); ++i) {
    TensorSource& tensor = snapshot.tensors[i];
    const auto name_in = [&](Part p) { return name_in_part(tensor.info.name, p, layers_of(p, at, n_layer)); };
    if (std::ranges::all_of(kParts, [&](Part p) { return name_in(p).empty(); })) {
      throw CheckpointError(tr(Msg::split_unknown_tensor, whole.path(), tensor.info.name, n_layer));
    }
    std::string name = name_in(part);
    if (name.empty()) continue;
    tensor.info.name = std::move(name);
    tensors.push_back(std::move(tensor));
    places.push_back(static_cast<std::int64_t>(i));
  }
  KeyValues& p = snapshot.progress;
  const std::string whole_progress = p.to_string();
  p.set_quoted("parent", fingerprint_text(whole.state_hash()));
  p.set_quoted("part", part_name(part));
  p.set_quoted("part_split", at.text());
  p.set_quoted("whole_file", fs::path(whole.path()).filename().string());
  p.set_integer("whole_tensors", static_cast<std::int64_t>(snapshot.tensors.size()));
  p.set_quoted("whole_places", places_text(places));
  p.set_quoted("whole_progress", whole_progress);
  snapshot.tensors = std::move(tensors);
  return snapshot;
}

std::string split_model_path(const std::string& base, const std::string& model, Part part,
                             const SplitPoints& at) {
  const std::string name =
      model + "_" + std::to_string(at.first) + "-" + std::to_string(at.second) + "_" + part_name(part);
  return (fs::path(base) / part_name(part) / (name + ".bin")).string();
}

std::string split_metadata_path(const std::string& part_path) {
  const fs::path path(part_path);
  return (path.parent_path() / (path.stem().string() + "_metadata.json")).string();
}

void create_split_directories(const std::string& base) {
  for (Part part : kParts) create_directories_of(fs::path(base) / part_name(part));
}

Checkpoint save_part(const std::string& path, const Checkpoint& whole, Part part, const SplitPoints& at,
                     bool with_metadata, bool overwrite) {
  const Snapshot snapshot = part_of_model(whole, part, at);
  create_directories_of(fs::path(path).parent_path());
  save_checkpoint(path, snapshot, overwrite);
  const Checkpoint saved = Checkpoint::open(path);
  if (with_metadata) write_part_metadata(split_metadata_path(path), saved);
  return saved;
}

Checkpoint open_part(const std::string& path) {
  Checkpoint checkpoint = Checkpoint::open(path);
  if (!part_of(checkpoint)) throw CheckpointError(tr(Msg::split_not_a_part, path));
  check_part_metadata(split_metadata_path(path), checkpoint);
  return checkpoint;
}

}  // namespace zhgpt
