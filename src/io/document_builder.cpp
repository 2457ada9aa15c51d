#include <algorithm>
#include <charconv>

#include "io/document.h"
#include "io/document_words.h"
#include "io/format.h"
#include "io/section.h"
#include "io/snapshot_stream.h"
#include "zhgpt/error.h"

namespace zhgpt {
namespace {

constexpr std::size_t kMostShown = 60;

// What a file says, made harmless for a terminal.
std::string shown(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, kMostShown)) out += c >= ' ' && c <= '~' ? c : '?';
  return out;
}

bool is_key(std::string_view key) {
  return std::ranges::all_of(
      key, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
}

template <class Value>
std::optional<Value> value_of_name(std::string_view name, const char* (*name_of)(Value), int last) {
  for (int i = 1; i <= last; ++i) {
    if (name == name_of(static_cast<Value>(i))) return static_cast<Value>(i);
  }
  return std::nullopt;
}

}  // namespace

void DocumentBuilder::refuse(const std::string& what, const std::string& found,
                             const std::string& expected) const {
  std::string where;
  if (!where_.empty()) where.append(" (").append(where_, 1).append(")");
  contents_.source->refuse(place, what + where, shown(found), expected);
}

void DocumentBuilder::require_at(bool is_allowed, const char* what) const {
  if (!is_allowed) refuse(tr(Msg::doc_unexpected), what, tr(Msg::doc_as_described));
}

void DocumentBuilder::begin_map() {
  require_at(
      levels_.empty() || is_at("/config") || is_at("/progress") || is_at("/vocab") || is_at("/layers/[]"),
      "{");
  levels_.push_back({where_.size()});
}

void DocumentBuilder::key(const std::string& key) {
  Level& level = levels_.back();
  if (!is_key(key)) refuse(tr(Msg::doc_key), key, "[a-z0-9_]+");
  where_.resize(level.base);
  where_.append("/").append(key);
  if (!level.keys.insert(key).second) refuse(tr(Msg::doc_repeated), key, "1");
}

void DocumentBuilder::end_map() {
  const Level level = std::move(levels_.back());
  levels_.pop_back();
  where_.resize(level.base);
  const auto require_keys = [&](std::initializer_list<const char*> keys) {
    for (const char* key : keys) {
      if (!level.keys.contains(key)) refuse(tr(Msg::doc_missing), "-", key);
    }
  };
  if (levels_.empty()) {
    require_keys({"format", "version", "step", "run_id", "config", "progress", "vocab", "history", "layers"});
  } else if (is_at("/layers/[]")) {
    require_keys({"data"});
  } else if (is_at("/vocab")) {
    require_keys({"words"});
  }
}

void DocumentBuilder::begin_array() {
  const bool is_record = where_.starts_with("/config/") || where_.starts_with("/progress/");
  const bool is_raw_value = is_record && levels_.size() == 2;
  const bool is_data = is_at("/layers/[]/data");
  require_at(
      is_raw_value || is_data || is_at("/vocab/words") || is_at("/layers") || is_at("/layers/[]/shape"), "[");
  if (is_data) begin_tensor();
  levels_.push_back({where_.size(), true});
  where_ += "/[]";
}

void DocumentBuilder::end_array() {
  where_.resize(levels_.back().base);
  levels_.pop_back();
  if (in_data_) return end_tensor();
  for (const KeyValues* record : {&contents_.config, &contents_.progress}) {
    const std::string prefix = record == &contents_.config ? "/config/" : "/progress/";
    if (where_.starts_with(prefix) && !record->has(where_.substr(prefix.size()))) {
      refuse(tr(Msg::doc_value), "[]", tr(Msg::doc_text));
    }
  }
}

void DocumentBuilder::text(const std::string& value) {
  scalar(Scalar::text, value);
}
void DocumentBuilder::integer(std::int64_t value) {
  scalar(Scalar::integer, std::to_string(value));
}
void DocumentBuilder::natural(std::uint64_t value) {
  scalar(Scalar::integer, std::to_string(value));
}
void DocumentBuilder::real(const std::string& value) {
  scalar(Scalar::real, value);
}
void DocumentBuilder::boolean(bool value) {
  scalar(Scalar::boolean, value ? "true" : "false");
}

std::int64_t DocumentBuilder::natural_value(Scalar kind, const std::string& value) const {
  std::int64_t number = -1;
  const char* end = value.data() + value.size();
  const bool is_whole = kind == Scalar::integer && std::from_chars(value.data(), end, number).ptr == end;
  if (!is_whole || number < 0) refuse(tr(Msg::doc_value), value, "0..2^63-1");
  return number;
}

void DocumentBuilder::scalar(Scalar kind, const std::string& value) {
  if (in_data_) {
    if (kind != Scalar::integer && kind != Scalar::real)
      refuse(tr(Msg::doc_value), value, tr(Msg::doc_number));
    return element(value);
  }
  const auto require_text = [&] {
    if (kind != Scalar::text) refuse(tr(Msg::doc_value), value, tr(Msg::doc_text));
  };
  if (where_.starts_with("/config/")) return record_value(contents_.config, kind, value);
  if (where_.starts_with("/progress/")) return record_value(contents_.progress, kind, value);
  if (is_at("/vocab/words/[]")) return word(kind, value);
  if (is_at("/layers/[]/shape/[]")) {
    if (info_.shape.size() == static_cast<std::size_t>(format::kMaxRank))
      refuse(tr(Msg::ck_rank), "> 8", "0..8");
    info_.shape.push_back(natural_value(kind, value));
    return;
  }
  if (is_at("/step")) {
    contents_.step = natural_value(kind, value);
    return;
  }
  if (is_at("/version")) {
    const std::int64_t version = natural_value(kind, value);
    if (version == kDocumentVersion) return;
    throw CheckpointError(tr(Msg::doc_version, contents_.source->path(), version, kDocumentVersion));
  }
  if (is_at("/hash")) {  // of whichever kind the spelling has it, which has verified it
    if (!has_hash_) refuse(tr(Msg::doc_hash_edited), value, tr(Msg::doc_hash_place));
    return;
  }
  require_text();
  if (is_at("/format")) {
    if (value != "zhgpt") refuse(tr(Msg::ck_magic), value, "zhgpt");
  } else if (is_at("/run_id")) {
    if (value.size() != 2 * contents_.run_id.size()) refuse(tr(Msg::doc_value), value, "[0-9a-f]{32}");
    for (std::size_t i = 0; i < contents_.run_id.size(); ++i) {
      const char* begin = value.data() + 2 * i;
      if (std::from_chars(begin, begin + 2, contents_.run_id[i], 16).ptr != begin + 2) {
        refuse(tr(Msg::doc_value), value, "[0-9a-f]{32}");
      }
    }
  } else if (is_at("/history")) {
    if (!is_clean_text(value)) refuse(tr(Msg::ck_text, "history"), tr(Msg::ck_bytes_not_text), "UTF-8");
    contents_.history = value;
  } else if (is_at("/layers/[]/name")) {
    info_.name = value;
  } else if (is_at("/layers/[]/kind")) {
    const auto found = value_of_name<SectionKind>(value, kind_name, static_cast<int>(SectionKind::adam_v));
    if (!found || is_record(*found)) refuse(tr(Msg::ck_kind), value, "parameter, adam_m, adam_v");
    info_.kind = *found;
  } else if (is_at("/layers/[]/dtype")) {
    const auto found = value_of_name<DType>(value, dtype_name, static_cast<int>(DType::f16));
    if (!found) refuse(tr(Msg::ck_dtype), value, "f32, f64, bf16, f16, i32, i64, u16, u8");
    info_.dtype = *found;
  } else {
    require_at(false, "\"\"");
  }
}

void DocumentBuilder::record_value(KeyValues& record, Scalar kind, const std::string& value) {
  const bool is_raw = levels_.back().is_array;
  std::string key = where_.substr(where_.find('/', 1) + 1);
  if (is_raw) {
    key.resize(key.size() - 3);  // "/[]"
    if (kind != Scalar::text || record.has(key)) refuse(tr(Msg::doc_value), value, tr(Msg::doc_text));
    record.set(key, value);
  } else {
    record.set(key, kind == Scalar::text ? toml_quote(value) : value);
  }
}

void DocumentBuilder::word(Scalar kind, const std::string& value) {
  if (static_cast<std::int64_t>(contents_.vocab.size()) * 4 >= format::kMaxVocabBytes) {
    refuse(tr(Msg::ck_length), std::to_string(contents_.vocab.size()),
           "<= " + std::to_string(format::kMaxVocabBytes / 4));
  }
  std::int32_t entry = 0;
  if (kind == Scalar::text) {
    const auto found = entry_of_word(value);
    if (!found) refuse(tr(Msg::doc_word), value, "1");
    entry = *found;
  } else {
    const char* end = value.data() + value.size();
    const auto [at, error] = std::from_chars(value.data(), end, entry);
    // A character has one spelling, so that equal states are equal documents.
    if (kind != Scalar::integer || error != std::errc{} || at != end || word_of_entry(entry)) {
      refuse(tr(Msg::doc_word), value, "1");
    }
  }
  contents_.vocab.push_back(entry);
}

void DocumentBuilder::begin_tensor() {
  for (const char* key : {"name", "kind", "dtype", "shape"}) {
    if (!levels_.back().keys.contains(key)) refuse(tr(Msg::doc_data_last), "data", key);
  }
  const std::size_t index = contents_.tensors.size() + kRecordSections;
  if (index >= static_cast<std::size_t>(format::kMaxSections)) {
    refuse(tr(Msg::ck_section_count), std::to_string(index), "<= " + std::to_string(format::kMaxSections));
  }
  const auto violation = check_section(info_, static_cast<std::uint32_t>(index));
  if (violation) refuse(tr(violation->rule), violation->found, violation->expected);
  if (!tensor_names_.insert(std::string(kind_name(info_.kind)).append("/").append(info_.name)).second) {
    refuse(tr(Msg::ck_name_repeated), info_.name, "1");
  }
  contents_.tensors.push_back(info_);
  contents_.chunks_.push_back({static_cast<std::uint32_t>(contents_.tensors.size() - 1), {}});
  contents_.chunk_places.push_back({place});
  state_.begin_tensor(info_);
  in_data_ = true;
  tensor_bytes_ = 0;
  chunk_.clear();
}

void DocumentBuilder::element(const std::string& value) {
  const std::int64_t size = dtype_bytes(info_.dtype);
  const std::int64_t told = tensor_bytes_ + static_cast<std::int64_t>(chunk_.size());
  if (told == info_.bytes())
    refuse(tr(Msg::doc_too_much_data, info_.name), "> " + std::to_string(told / size),
           std::to_string(told / size));
  std::byte bytes[8];
  if (!parse_element(info_.dtype, value, bytes)) refuse(tr(Msg::doc_value), value, dtype_name(info_.dtype));
  chunk_.insert(chunk_.end(), bytes, bytes + size);
  if (static_cast<std::int64_t>(chunk_.size()) == format::kChunkBytes) finish_chunk();
}

void DocumentBuilder::begin_binary(std::uint64_t bytes) {
  require_at(is_at("/layers/[]/data"), "bin");
  begin_tensor();
  if (bytes != static_cast<std::uint64_t>(info_.bytes())) {
    refuse(tr(Msg::ck_length), std::to_string(bytes), std::to_string(info_.bytes()));
  }
}

// A chunk ends where a piece ends: the spelling tells pieces of 16 MiB.
void DocumentBuilder::binary(std::span<const std::byte> bytes) {
  chunk_.assign(bytes.begin(), bytes.end());
  finish_chunk();
  if (tensor_bytes_ == info_.bytes()) end_tensor();
}

void DocumentBuilder::finish_chunk() {
  const std::size_t index = contents_.tensors.size() - 1;
  auto& proven = contents_.chunks_[index];
  contents_.require_finite(index, chunk_, place);
  state_.add(chunk_);
  proven.hashes.push_back(
      chunk_hash(chunk_, proven.section, static_cast<std::uint32_t>(proven.hashes.size())));
  tensor_bytes_ += static_cast<std::int64_t>(chunk_.size());
  chunk_.clear();
  if (tensor_bytes_ < info_.bytes()) contents_.chunk_places[index].push_back(place);
}

void DocumentBuilder::end_tensor() {
  if (!chunk_.empty()) finish_chunk();
  if (tensor_bytes_ != info_.bytes()) {
    const std::int64_t size = dtype_bytes(info_.dtype);
    refuse(tr(Msg::doc_too_little_data, info_.name), std::to_string(tensor_bytes_ / size),
           std::to_string(info_.bytes() / size));
  }
  in_data_ = false;
  info_ = {};
}

void DocumentBuilder::finish() {
  const std::pair<const char*, const KeyValues*> records[] = {{"config", &contents_.config},
                                                              {"progress", &contents_.progress}};
  for (const auto& [name, record] : records) {
    if (const auto fault = record_fault(*record, name)) refuse(tr(Msg::ck_text, name), *fault, "key = value");
  }
  contents_.state_hash = state_.value();
}

}  // namespace zhgpt
