// Checkpoint, and the choice of a format; the formats themselves are read_* and write_*.
#include "zhgpt/checkpoint.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "io/contents.h"
#include "io/format.h"
#include "io/section.h"
#include "zhgpt/error.h"
#include "zhgpt/formats.h"

namespace zhgpt {

Checkpoint make_checkpoint(std::shared_ptr<const Contents> contents) {
  Checkpoint checkpoint;
  checkpoint.contents_ = std::move(contents);
  return checkpoint;
}

namespace {

struct FormatTraits {
  std::string_view name;
  std::shared_ptr<const Contents> (*read)(std::shared_ptr<const ByteSource>);
  void (*write)(const std::string& path, const Snapshot& snapshot, bool overwrite);
};
constexpr std::array<FormatTraits, 4> kTraits = {{{"bin", read_binary, write_binary},
                                                  {"json", read_json, write_json},
                                                  {"mpk", read_msgpack, write_msgpack},
                                                  {"safetensors", read_safetensors, write_safetensors}}};
const FormatTraits& traits(Format format) { return kTraits[static_cast<std::size_t>(format)]; }

// By how a file begins; a safetensors file begins with the length of its header, the header with a brace.
std::optional<Format> format_of_content(std::string_view head) {
  const std::string_view magic(reinterpret_cast<const char*>(format::kMagic.data()), format::kMagic.size());
  if (head.starts_with(magic)) return Format::binary;
  const std::size_t first = head.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && head[first] == '{') return Format::json;
  if (head.size() > 8 && head[8] == '{' && head.substr(4, 4) == std::string_view("\0\0\0\0", 4)) {
    return Format::safetensors;
  }
  // A map of up to 15 or 65535 entries whose first key is "format".
  for (const std::string_view map : {head.substr(0, 1), head.substr(0, 3)}) {
    const auto kind = map.empty() ? 0u : static_cast<unsigned char>(map[0]);
    const bool is_map = map.size() == 1 ? kind >> 4 == 8 : kind == 0xDE;
    if (is_map && head.substr(map.size()).starts_with("\xA6" "format")) return Format::msgpack;
  }
  return std::nullopt;
}

Format format_of(const ByteSource& source) {
  constexpr std::int64_t kHeadBytes = 256;
  if (const auto format = format_of_content(source.head(kHeadBytes))) return *format;
  // Whatever it is, its name says what it was to be, and so what is wrong with it; .bin explains itself best.
  return format_of_path(source.path()).value_or(Format::binary);
}

Checkpoint read_as(Format format, std::shared_ptr<const ByteSource> source) {
  return make_checkpoint(traits(format).read(std::move(source)));
}

Checkpoint load_as(Format format, const std::string& path) {
  auto source = ByteSource::open(path);
  const Format found = format_of(*source);
  if (found != format) {
    throw CheckpointError(tr(Msg::ck_other_format, path, format_name(found), format_name(format)));
  }
  return read_as(format, std::move(source));
}

}  // namespace

std::string_view format_name(Format format) { return traits(format).name; }

std::optional<Format> format_of_name(std::string_view name) {
  for (const Format format : kFormats) {
    if (format_name(format) == name) return format;
  }
  return std::nullopt;
}

std::optional<Format> format_of_path(std::string_view path) {
  const std::size_t dot = path.rfind('.');
  if (dot == std::string_view::npos || path.find('/', dot) != std::string_view::npos) return std::nullopt;
  std::string extension(path.substr(dot + 1));
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
  return format_of_name(extension);
}

Format detect_format(const std::string& path) { return format_of(*ByteSource::open(path)); }

void save_model(const std::string& path, const Snapshot& snapshot, Format format, bool overwrite) {
  traits(format).write(path, snapshot, overwrite);
}
void save_model_binary(const std::string& path, const Snapshot& snapshot, bool overwrite) {
  write_binary(path, snapshot, overwrite);
}
void save_model_json(const std::string& path, const Snapshot& snapshot, bool overwrite) {
  write_json(path, snapshot, overwrite);
}
void save_model_msgpack(const std::string& path, const Snapshot& snapshot, bool overwrite) {
  write_msgpack(path, snapshot, overwrite);
}
void save_model_safetensors(const std::string& path, const Snapshot& snapshot, bool overwrite) {
  write_safetensors(path, snapshot, overwrite);
}
void save_checkpoint(const std::string& path, const Snapshot& snapshot, bool overwrite) {
  save_model(path, snapshot, format_of_path(path).value_or(Format::binary), overwrite);
}

Checkpoint load_model_binary(const std::string& path) { return load_as(Format::binary, path); }
Checkpoint load_model_json(const std::string& path) { return load_as(Format::json, path); }
Checkpoint load_model_msgpack(const std::string& path) { return load_as(Format::msgpack, path); }
Checkpoint load_model_safetensors(const std::string& path) { return load_as(Format::safetensors, path); }
Checkpoint load_model_auto(const std::string& path) { return Checkpoint::open(path); }
Checkpoint load_model_bytes(std::span<const std::byte> bytes, const std::string& name) {
  auto source = ByteSource::of_memory(bytes, name);
  const Format format = format_of(*source);
  return read_as(format, std::move(source));
}

Checkpoint load_checkpoint(const std::string& path) {
  Checkpoint checkpoint = Checkpoint::open(path);
  const auto is_moment = [](const TensorInfo& info) { return info.kind == SectionKind::adam_m; };
  if (std::ranges::none_of(checkpoint.tensors(), is_moment)) {
    throw CheckpointError(tr(Msg::no_optimizer_state, path));
  }
  return checkpoint;
}

Validity validate_checkpoint(const std::string& path) noexcept {
  try {
    const Checkpoint checkpoint = Checkpoint::open(path);
    if (checkpoint.tensors().empty()) return {false, tr(Msg::ck_empty, path)};
    return {true, ""};
  } catch (const std::exception& error) {
    return {false, error.what()};
  }
}

Checkpoint Checkpoint::open(const std::string& path) {
  auto source = ByteSource::open(path);
  const Format format = format_of(*source);
  return read_as(format, std::move(source));
}

const std::string& Checkpoint::path() const { return contents_->source->path(); }
Format Checkpoint::format() const { return contents_->format; }
std::int64_t Checkpoint::step() const { return contents_->step; }
const RunId& Checkpoint::run_id() const { return contents_->run_id; }
const KeyValues& Checkpoint::config() const { return contents_->config; }
const KeyValues& Checkpoint::progress() const { return contents_->progress; }
const std::vector<std::int32_t>& Checkpoint::vocab() const { return contents_->vocab; }
const std::string& Checkpoint::history() const { return contents_->history; }
const std::vector<TensorInfo>& Checkpoint::tensors() const { return contents_->tensors; }
std::int64_t Checkpoint::file_bytes() const { return contents_->source->size(); }
std::uint64_t Checkpoint::state_hash() const { return contents_->state_hash; }

namespace {

std::optional<std::size_t> find_tensor(const std::vector<TensorInfo>& tensors, SectionKind kind, const std::string& name) {
  const auto found =
      std::ranges::find_if(tensors, [&](const TensorInfo& t) { return t.kind == kind && t.name == name; });
  if (found == tensors.end()) return std::nullopt;
  return static_cast<std::size_t>(found - tensors.begin());
}

}  // namespace

void Checkpoint::read(SectionKind kind, const std::string& name, std::span<std::byte> to) const {
  const auto index = find_tensor(tensors(), kind, name);
  const std::int64_t found = index ? tensors()[*index].bytes() : 0;
  if (!index || found != static_cast<std::int64_t>(to.size())) {
    throw CheckpointError(tr(Msg::ck_no_tensor, path(), name, kind_name(kind), to.size(), found));
  }
  contents_->read(*index, 0, to);
}

void Checkpoint::read(SectionKind kind, const std::string& name, std::int64_t offset,
                      std::span<std::byte> to) const {
  const auto index = find_tensor(tensors(), kind, name);
  const std::int64_t found = index ? tensors()[*index].bytes() : 0;
  const auto count = static_cast<std::int64_t>(to.size());
  if (!index || offset < 0 || offset > found || count > found - offset) {
    throw CheckpointError(tr(Msg::ck_no_tensor, path(), name, kind_name(kind), count, found));
  }
  contents_->read(*index, offset, to);
}

std::span<const std::byte> Checkpoint::view(SectionKind kind, const std::string& name) const {
  const auto index = find_tensor(tensors(), kind, name);
  return index ? contents_->view(*index) : std::span<const std::byte>();
}

Snapshot snapshot_of(const Checkpoint& checkpoint) {
  Snapshot snapshot{.step = checkpoint.step(),
                    .run_id = checkpoint.run_id(),
                    .config = checkpoint.config(),
                    .progress = checkpoint.progress(),
                    .vocab = checkpoint.vocab(),
                    .history = checkpoint.history(),
                    .tensors = {}};
  for (const TensorInfo& info : checkpoint.tensors()) {
    snapshot.tensors.push_back({info, [checkpoint, info](std::int64_t offset, std::span<std::byte> to) {
                                  checkpoint.read(info.kind, info.name, offset, to);
                                }});
  }
  return snapshot;
}

}  // namespace zhgpt
