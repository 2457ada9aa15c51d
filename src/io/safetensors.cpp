// .safetensors: the state as a file that Hugging Face's libraries load as a GPT-2.
//
// Parameters are named transformer.NAME; those of GPT-2's four products are stored (in, out), its Conv1D's
// layout, and turned on the way. Moments are zhgpt.adam_m.NAME and zhgpt.adam_v.NAME, as they are. Everything
// else is text in __metadata__; its second entry is the hash of the whole file.
#include <algorithm>
#include <charconv>
#include <cstring>

#include <nlohmann/json.hpp>

#include "io/coding.h"
#include "io/contents.h"
#include "io/format.h"
#include "io/hashed_file.h"
#include "io/safetensors_header.h"
#include "io/section.h"
#include "io/snapshot_stream.h"
#include "io/transpose.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

constexpr std::string_view kHead = "{\"__metadata__\":{\"format\":\"pt\",\"zhgpt.hash\":\"";
constexpr std::string_view kPlaceholder = "0000000000000000";
constexpr std::int64_t kHashPlace = 8 + static_cast<std::int64_t>(kHead.size());
constexpr const char* kVersion = "1";

struct KindPrefix {
  SectionKind kind;
  std::string_view prefix;
};
constexpr KindPrefix kPrefixes[] = {{SectionKind::parameter, "transformer."},
                                    {SectionKind::adam_m, "zhgpt.adam_m."},
                                    {SectionKind::adam_v, "zhgpt.adam_v."}};

struct DTypeName {
  DType dtype;
  std::string_view name;
};
constexpr DTypeName kDTypes[] = {{DType::f32, "F32"}, {DType::f64, "F64"}, {DType::bf16, "BF16"},
                                 {DType::f16, "F16"}, {DType::i32, "I32"}, {DType::i64, "I64"},
                                 {DType::u16, "U16"}, {DType::u8, "U8"}};

std::string stored_name(const TensorInfo& info) {
  const auto prefix = std::ranges::find(kPrefixes, info.kind, &KindPrefix::kind);
  return std::string(prefix->prefix) + info.name;
}

std::string hash_text(std::uint64_t hash) {
  return hex(hash).substr(2);
}

bool is_transposed(const TensorInfo& info) {
  return info.kind == SectionKind::parameter && info.shape.size() == 2 && is_conv1d_weight(info.name);
}

std::vector<std::int64_t> stored_shape(const TensorInfo& info) {
  if (is_transposed(info)) return {info.shape[1], info.shape[0]};
  return info.shape;
}

// The tensor as it lies in the file, from one as we hold it.
TensorSource stored(const TensorSource& source) {
  if (!is_transposed(source.info)) return source;
  TensorSource turned{{source.info.kind, source.info.name, source.info.dtype, stored_shape(source.info)}, {}};
  turned.read = [source](std::int64_t offset, std::span<std::byte> to) {
    read_transposed(source.read, source.info.shape[0], source.info.shape[1], dtype_bytes(source.info.dtype),
                    offset, to);
  };
  return turned;
}

std::string header_text(const Snapshot& snapshot) {
  std::string run_id, vocab;
  for (const std::uint8_t byte : snapshot.run_id) run_id += hex(byte).substr(16);
  for (const std::int32_t entry : snapshot.vocab)
    vocab.append(vocab.empty() ? "" : " ").append(std::to_string(entry));

  std::string text(kHead);
  text += kPlaceholder;
  text += '"';
  const auto add = [&](const char* key, const std::string& value) {
    text.append(",\"zhgpt.").append(key).append("\":").append(nlohmann::json(value).dump());
  };
  add("version", kVersion);
  add("step", std::to_string(snapshot.step));
  add("run_id", run_id);
  add("config", snapshot.config.to_string());
  add("progress", snapshot.progress.to_string());
  add("vocab", vocab);
  add("history", snapshot.history);
  text += '}';
  // A list by hand: to destroy one, the library takes memory, and ends the program when there is none.
  const auto list = [](const std::vector<std::int64_t>& numbers) {
    std::string items = "[";
    for (const std::int64_t number : numbers)
      items.append(items.size() == 1 ? "" : ",").append(std::to_string(number));
    return items += ']';
  };
  std::int64_t offset = 0;
  for (const TensorSource& tensor : snapshot.tensors) {
    const TensorInfo& info = tensor.info;
    const auto dtype = std::ranges::find(kDTypes, info.dtype, &DTypeName::dtype);
    const std::int64_t end = offset + info.bytes();
    text += ",\"" + stored_name(info) + "\":{\"dtype\":\"" + std::string(dtype->name) +
            "\",\"shape\":" + list(stored_shape(info)) + ",\"data_offsets\":" + list({offset, end}) + "}";
    offset = end;
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

class SafetensorsContents : public Contents {
 public:
  explicit SafetensorsContents(std::shared_ptr<const ByteSource> bytes) {
    source = std::move(bytes);
    format = Format::safetensors;
    const SafetensorsHeader header = read_safetensors_header(*source);
    verify_hash(header);
    read_records(header);
    StateHasher state;
    for (const SafetensorsTensor& tensor : header.tensors) add_tensor(tensor, state);
    state_hash = state.value();
  }

 private:
  const std::string& metadata(const SafetensorsHeader& header, const char* key) const {
    const std::string* value = header.find_metadata(std::string("zhgpt.") + key);
    if (!value) source->refuse(8, tr(Msg::doc_missing), "-", std::string("zhgpt.") + key);
    return *value;
  }

  void verify_hash(const SafetensorsHeader& header) const {
    if (!header.find_metadata("zhgpt.hash")) throw CheckpointError(tr(Msg::st_foreign, source->path()));
    const std::string stored = source->head(kHashPlace + static_cast<std::int64_t>(kPlaceholder.size()));
    if (stored.compare(8, kHead.size(), kHead) != 0) {
      source->refuse(8, tr(Msg::doc_hash_edited), "zhgpt.hash", tr(Msg::st_hash_place));
    }
    const std::string expected = hash_text(hash_of_file(*source, kHashPlace, kPlaceholder));
    const std::string found = stored.substr(static_cast<std::size_t>(kHashPlace));
    if (hashes_differ(found == expected, true))
      source->refuse(kHashPlace, tr(Msg::doc_hash), expected, found);
  }

  template <class Number>
  Number number(const std::string& text, const char* key, int base = 10) const {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc{} || end != text.data() + text.size())
      source->refuse(8, tr(Msg::doc_value), shown(text), key);
    return value;
  }
  static std::string shown(const std::string& text) {
    return text.substr(0, text.find_first_not_of("0123456789abcdef-")).substr(0, 40);
  }

  void read_records(const SafetensorsHeader& header) {
    const std::string& version = metadata(header, "version");
    if (version != kVersion)
      throw CheckpointError(tr(Msg::doc_version, source->path(), shown(version), kVersion));
    step = number<std::int64_t>(metadata(header, "step"), "zhgpt.step");
    if (step < 0) source->refuse(8, tr(Msg::ck_step), std::to_string(step), ">= 0");
    const std::string& id = metadata(header, "run_id");
    if (id.size() != 2 * run_id.size()) source->refuse(8, tr(Msg::doc_value), shown(id), "zhgpt.run_id");
    for (std::size_t i = 0; i < run_id.size(); ++i)
      run_id[i] = number<std::uint8_t>(id.substr(2 * i, 2), "zhgpt.run_id", 16);
    config = record(header, "config");
    progress = record(header, "progress");
    history = metadata(header, "history");
    if (!is_clean_text(history))
      source->refuse(8, tr(Msg::ck_text, "history"), tr(Msg::ck_bytes_not_text), "UTF-8");
    const std::string& words = metadata(header, "vocab");
    for (std::size_t begin = 0; begin < words.size();) {
      const std::size_t end = std::min(words.find(' ', begin), words.size());
      vocab.push_back(number<std::int32_t>(words.substr(begin, end - begin), "zhgpt.vocab"));
      begin = end + 1;
    }
    if (static_cast<std::int64_t>(4 * vocab.size()) > format::kMaxVocabBytes) {
      source->refuse(8, tr(Msg::ck_length) + ": vocab", std::to_string(vocab.size()),
                     "<= " + std::to_string(format::kMaxVocabBytes / 4));
    }
  }

  KeyValues record(const SafetensorsHeader& header, const char* name) const {
    try {
      const KeyValues values = KeyValues::parse(metadata(header, name), name);
      if (const auto fault = record_fault(values, name))
        source->refuse(8, tr(Msg::ck_text, name), *fault, "key = value");
      return values;
    } catch (const ConfigError& error) {
      source->refuse(8, tr(Msg::ck_text, name), error.what(), "key = value");
    }
  }

  void add_tensor(const SafetensorsTensor& tensor, StateHasher& state) {
    const auto refuse = [&](const Violation& violation) {
      source->refuse(8, tr(violation.rule), violation.found, violation.expected);
    };
    const auto prefix = std::ranges::find_if(
        kPrefixes, [&](const KindPrefix& p) { return tensor.name.starts_with(p.prefix); });
    if (prefix == std::end(kPrefixes))
      refuse({Msg::ck_kind, "?", "transformer., zhgpt.adam_m., zhgpt.adam_v."});
    const auto dtype = std::ranges::find(kDTypes, tensor.dtype, &DTypeName::name);
    if (dtype == std::end(kDTypes))
      refuse({Msg::ck_dtype, tensor.dtype, "F32, F64, BF16, F16, I32, I64, U16, U8"});
    TensorInfo info{prefix->kind, tensor.name.substr(prefix->prefix.size()), dtype->dtype, tensor.shape};
    info.shape = stored_shape(info);  // turned back
    const std::size_t index = tensors.size();
    if (const auto violation = check_section(info, static_cast<std::uint32_t>(index + kRecordSections)))
      refuse(*violation);
    tensors.push_back(info);
    places_.push_back(tensor.begin);
    chunks_.push_back({static_cast<std::uint32_t>(index), {}});
    state.begin_tensor(info);
    const TensorSource whole{info, [&](std::int64_t offset, std::span<std::byte> to) {
                               read_chunk(index, static_cast<std::uint32_t>(offset / format::kChunkBytes),
                                          to);
                             }};
    for_each_chunk(whole, buffer_, [&](std::span<const std::byte> chunk, std::uint32_t i) {
      require_finite(index, chunk, tensor.begin);
      state.add(chunk);
      chunks_[index].hashes.push_back(chunk_hash(chunk, chunks_[index].section, i));
    });
  }

  void read_chunk(std::size_t index, std::uint32_t chunk, std::span<std::byte> to) const override {
    const std::int64_t begin = places_[index], offset = chunk * format::kChunkBytes;
    if (!is_transposed(tensors[index])) return source->read(begin + offset, to);
    const TensorInfo& info = tensors[index];
    const auto read = [&](std::int64_t at, std::span<std::byte> piece) { source->read(begin + at, piece); };
    read_transposed(read, info.shape[1], info.shape[0], dtype_bytes(info.dtype), offset, to);
  }

  std::vector<std::int64_t> places_;  // in the file, of each tensor
  std::vector<std::byte> buffer_;     // while the file is proven
};

}  // namespace

std::shared_ptr<const Contents> read_safetensors(std::shared_ptr<const ByteSource> source) {
  return std::make_shared<const SafetensorsContents>(std::move(source));
}

void write_safetensors(const std::string& path, const Snapshot& snapshot, bool overwrite) {
  check_snapshot(path, snapshot);
  const std::string header = header_text(snapshot);
  const auto header_bytes = static_cast<std::int64_t>(header.size());
  if (header_bytes > kMostSafetensorsHeaderBytes) {
    throw CheckpointError(tr(Msg::ck_can_not_save, path, tr(Msg::st_header_length), header_bytes,
                             kMostSafetensorsHeaderBytes));
  }
  std::int64_t bytes = 8 + header_bytes;
  for (const TensorSource& tensor : snapshot.tensors) bytes += tensor.info.bytes();
  HashedFile file(path, overwrite, bytes);
  ByteWriter length;
  length.put(static_cast<std::uint64_t>(header_bytes));
  file.write(length.bytes());
  file.write(kHead);
  file.write_placeholder(kPlaceholder);
  file.write(std::string_view(header).substr(kHead.size() + kPlaceholder.size()));
  std::vector<std::byte> buffer;
  for (const TensorSource& tensor : snapshot.tensors) {
    for_each_chunk(stored(tensor), buffer, [&](std::span<const std::byte> chunk, std::uint32_t index) {
      require_finite(path, tensor.info, index, chunk);
      file.write(chunk);
    });
  }
  file.commit(hash_text(file.hash()));
}

}  // namespace zhgpt
