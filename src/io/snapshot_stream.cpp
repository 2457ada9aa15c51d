#include "io/snapshot_stream.h"

#include <set>
#include <utility>

#include "io/hash.h"
#include "io/section.h"
#include "zhgpt/error.h"

namespace zhgpt {

std::optional<std::string> record_fault(const KeyValues& record, const char* name) {
  const std::string text = record.to_string();
  if (!is_clean_text(text)) return tr(Msg::ck_bytes_not_text);
  if (static_cast<std::int64_t>(text.size()) > format::kMaxRecordBytes) {
    return std::to_string(text.size()) + " > " + std::to_string(format::kMaxRecordBytes);
  }
  try {
    if (KeyValues::parse(text, name).entries() == record.entries()) return std::nullopt;
  } catch (const ConfigError& error) {
    return error.what();
  }
  return tr(Msg::ck_value_of_several_lines);
}

void check_snapshot(const std::string& path, const Snapshot& snapshot) {
  const auto refuse = [&](const std::string& what, const std::string& found, const std::string& expected) {
    throw CheckpointError(tr(Msg::ck_can_not_save, path, what, found, expected));
  };
  if (snapshot.step < 0) refuse(tr(Msg::ck_step), std::to_string(snapshot.step), ">= 0");
  const std::pair<const char*, const KeyValues*> records[] = {{"config", &snapshot.config},
                                                              {"progress", &snapshot.progress}};
  for (const auto& [name, record] : records) {
    if (const auto fault = record_fault(*record, name)) refuse(tr(Msg::ck_text, name), *fault, "key = value");
  }
  if (!is_clean_text(snapshot.history)) {
    refuse(tr(Msg::ck_text, "history"), tr(Msg::ck_bytes_not_text), "UTF-8");
  }
  const auto require_at_most = [&](std::int64_t count, std::int64_t most, const char* name) {
    if (count > most) refuse(tr(Msg::ck_length) + ": " + name, std::to_string(count), "<= " + std::to_string(most));
  };
  require_at_most(static_cast<std::int64_t>(snapshot.history.size()), format::kMaxHistoryBytes, "history");
  require_at_most(4 * static_cast<std::int64_t>(snapshot.vocab.size()), format::kMaxVocabBytes, "vocab");

  const std::size_t count = snapshot.tensors.size() + kRecordSections;
  if (count > static_cast<std::size_t>(format::kMaxSections)) {
    refuse(tr(Msg::ck_section_count), std::to_string(count), "<= " + std::to_string(format::kMaxSections));
  }
  std::set<std::pair<SectionKind, std::string>> names;
  std::uint32_t index = kRecordSections;
  for (const TensorSource& tensor : snapshot.tensors) {
    const auto violation = check_section(tensor.info, index++);
    if (violation) refuse(tr(violation->rule), violation->found, violation->expected);
    if (!names.emplace(tensor.info.kind, tensor.info.name).second) {
      refuse(tr(Msg::ck_name_repeated), tensor.info.name, "1");
    }
  }
}

void require_finite(const std::string& path, const TensorInfo& info, std::uint32_t chunk_index,
                    std::span<const std::byte> chunk) {
  if (const auto at = first_not_finite(info.dtype, chunk)) {
    const std::int64_t element = *at + chunk_index * (format::kChunkBytes / dtype_bytes(info.dtype));
    throw NotFiniteError(tr(Msg::ck_save_not_finite, path, info.name, element));
  }
}

std::uint64_t state_hash(const Snapshot& snapshot) {
  StateHasher hasher;
  std::vector<std::byte> buffer;
  for (const TensorSource& tensor : snapshot.tensors) {
    hasher.begin_tensor(tensor.info);
    for_each_chunk(tensor, buffer, [&](auto chunk, std::uint32_t) { hasher.add(chunk); });
  }
  return hasher.value();
}

}  // namespace zhgpt
