#include "parts/metadata.h"

#include <time.h>

#include <filesystem>

#include "base/fingerprint.h"
#include "base/record_json.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"
#include "zhgpt/split.h"

namespace zhgpt {
namespace {

// All that can be told from the part itself.
Json describe_part(const Checkpoint& part) {
  const PartInfo info = part_of(part).value();
  std::int64_t parameters = 0, bytes = 0;
  for (const TensorInfo& tensor : part.tensors()) {
    if (tensor.kind != SectionKind::parameter) continue;
    parameters += tensor.bytes() / dtype_bytes(tensor.dtype);
    bytes += tensor.bytes();
  }
  Json out;
  out["model_class"] = "zhgpt::Gpt";
  out["component"] = part_name(info.part);
  out["start_layer"] = info.layers.begin;
  out["end_layer"] = info.layers.end;  // the first that is not in it
  out["num_layers"] = info.layers.count();
  out["num_parameters"] = parameters;
  out["memory_mb"] = static_cast<double>(bytes) / (1 << 20);
  out["split_points"] = {info.at.first, info.at.second};
  out["state_hash"] = fingerprint_text(part.state_hash());
  out["parent_state_hash"] = info.parent_hash;
  out["parent_file"] = info.parent_file;
  out["config"] = record_json(part.config());
  return out;
}

std::string utc_now() {  // ISO 8601
  const time_t now = ::time(nullptr);
  tm utc{};
  ::gmtime_r(&now, &utc);
  char text[32];
  return {text, ::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc)};
}

std::string text_of(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

void write_part_metadata(const std::string& path, const Checkpoint& part) {
  Json description = describe_part(part);
  description["saved_at"] = utc_now();
  write_text_file(path, description.dump(2) + "\n");
}

void check_part_metadata(const std::string& path, const Checkpoint& part) {
  if (!std::filesystem::exists(path)) return;
  Json found;
  try {
    found = Json::parse(read_text_file(path));
  } catch (const Json::parse_error& error) {
    throw CheckpointError(tr(Msg::split_bad_metadata, path, error.what()));
  }
  if (!found.is_object())
    throw CheckpointError(tr(Msg::split_bad_metadata, path, text_of(found).substr(0, 80)));
  const Json expected = describe_part(part);
  for (const auto& [key, value] : expected.items()) {
    if (!found.contains(key) || found[key] == value) continue;
    throw CheckpointError(tr(Msg::split_metadata_differs, path, key, text_of(found[key]), text_of(value)));
  }
}

}  // namespace zhgpt
