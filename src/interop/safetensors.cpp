#include "interop/safetensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "interop/tensor_views.h"
#include "io/coding.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt::interop {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kLengthBytes = 8, kMaxHeaderBytes = 16 << 20;  // a thousand layers take less than 2 MiB
constexpr std::size_t kMaxRank = 8;

// Of the element types that the format has, the size in bytes; 0 for others.
std::int64_t element_bytes(const std::string& dtype) {
  if (dtype == "F64" || dtype == "I64" || dtype == "U64") return 8;
  if (dtype == "F32" || dtype == "I32" || dtype == "U32") return 4;
  if (dtype == "F16" || dtype == "BF16" || dtype == "I16" || dtype == "U16") return 2;
  if (dtype == "BOOL" || dtype == "U8" || dtype == "I8") return 1;
  return 0;
}

class HeaderReader {
 public:
  explicit HeaderReader(const ByteSource& file) : file_(file) {}

  std::vector<StoredTensor> read() {
    const Json header = parse(read_text());
    std::vector<StoredTensor> tensors;
    for (const auto& [name, entry] : header.items()) {
      if (name != "__metadata__") tensors.push_back(read_entry(name, entry));
    }
    std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
    std::int64_t end = data_;
    for (const StoredTensor& tensor : tensors) {
      if (tensor.offset != end) refuse(tr(Msg::interop_st_gap, tensor.name), tensor.offset - data_, end - data_);
      end = tensor.offset + tensor.bytes;
    }
    if (end != file_.size()) refuse(tr(Msg::interop_st_left), file_.size() - data_, end - data_);
    return tensors;
  }

 private:
  [[noreturn]] void refuse(const std::string& what, const std::string& found, const std::string& expected) const {
    file_.refuse(kLengthBytes, what, found, expected);
  }
  [[noreturn]] void refuse(const std::string& what, std::int64_t found, std::int64_t expected) const {
    refuse(what, std::to_string(found), std::to_string(expected));
  }

  std::string read_text() {
    if (file_.size() < kLengthBytes) file_.refuse(0, tr(Msg::interop_st_length), std::to_string(file_.size()), ">= 8");
    std::byte head[kLengthBytes];
    file_.read(0, head);
    std::uint64_t length = 0;
    (void)ByteReader(head).get(length);
    const auto most = static_cast<std::uint64_t>(std::min(file_.size() - kLengthBytes, kMaxHeaderBytes));
    if (length < 2 || length > most) {
      file_.refuse(0, tr(Msg::interop_st_length), std::to_string(length), "2.." + std::to_string(most));
    }
    std::string text(static_cast<std::size_t>(length), '\0');
    file_.read(kLengthBytes, std::as_writable_bytes(std::span(text)));
    if (text[0] != '{') refuse(tr(Msg::interop_st_json), text.substr(0, 1), "{");
    data_ = kLengthBytes + static_cast<std::int64_t>(length);
    return text;
  }

  // Objects of strings and of short lists of numbers, two deep, every name once; nothing else is built in memory.
  Json parse(const std::string& text) const {
    std::set<std::string> names[2];
    std::size_t numbers = 0;
    const auto check = [&](int depth, Json::parse_event_t event, Json& parsed) {
      bool fits = true;
      switch (event) {
        case Json::parse_event_t::object_start:
          fits = depth <= 1;
          if (depth == 1) names[1].clear();
          break;
        case Json::parse_event_t::key:
          fits = names[depth - 1].insert(parsed.get<std::string>()).second;
          if (!fits) refuse(tr(Msg::ck_name_repeated), parsed.dump(), "1");
          break;
        case Json::parse_event_t::array_start:
          fits = depth == 2;
          numbers = 0;
          break;
        case Json::parse_event_t::value:
          fits = depth == 2 ? parsed.is_string() : depth == 3 && parsed.is_number_unsigned() && ++numbers <= kMaxRank;
          break;
        default:
          break;
      }
      if (!fits) refuse(tr(Msg::interop_st_json), "?", "{\"name\": {\"dtype\", \"shape\", \"data_offsets\"}}");
      return true;
    };
    Json header = Json::parse(text, check, /*allow_exceptions=*/false);
    if (!header.is_object()) refuse(tr(Msg::interop_st_json), "?", "{…}");
    return header;
  }

  StoredTensor read_entry(const std::string& name, const Json& entry) const {
    const auto has = [&](const char* key, Json::value_t type) { return entry.contains(key) && entry[key].type() == type; };
    if (entry.size() != 3 || !has("dtype", Json::value_t::string) || !has("shape", Json::value_t::array) ||
        !has("data_offsets", Json::value_t::array) || entry["data_offsets"].size() != 2) {
      refuse(tr(Msg::interop_st_entry, name), entry.dump(), "dtype, shape, data_offsets");
    }
    StoredTensor tensor{.name = name, .dtype = entry["dtype"].get<std::string>()};
    const std::int64_t room = file_.size() - data_;
    std::int64_t bytes = element_bytes(tensor.dtype);
    if (bytes == 0) refuse(tr(Msg::interop_st_entry, name), tensor.dtype, "F32, F16, BF16 …");
    for (const Json& dim : entry["shape"]) {
      const auto size = dim.get<std::uint64_t>();
      if (size < 1 || size > static_cast<std::uint64_t>(room) ||
          __builtin_mul_overflow(bytes, static_cast<std::int64_t>(size), &bytes) || bytes > room) {
        refuse(tr(Msg::interop_st_entry, name), entry["shape"].dump(), "<= " + std::to_string(room) + " B");
      }
      tensor.shape.push_back(static_cast<std::int64_t>(size));
    }
    const auto begin = entry["data_offsets"][0].get<std::uint64_t>(), end = entry["data_offsets"][1].get<std::uint64_t>();
    if (end > static_cast<std::uint64_t>(room) || begin > end || end - begin != static_cast<std::uint64_t>(bytes)) {
      refuse(tr(Msg::interop_st_entry, name), entry["data_offsets"].dump(), std::to_string(bytes) + " B");
    }
    tensor.offset = data_ + static_cast<std::int64_t>(begin);
    tensor.bytes = bytes;
    return tensor;
  }

  const ByteSource& file_;
  std::int64_t data_ = 0;  // where it begins
};

}  // namespace

std::vector<StoredTensor> read_safetensors_header(const ByteSource& file) { return HeaderReader(file).read(); }

void write_safetensors_weights(const std::string& path, const std::vector<TensorSource>& tensors) {
  Json header = {{"__metadata__", {{"format", "pt"}}}};
  std::int64_t offset = 0;
  for (const TensorSource& tensor : tensors) {
    const std::int64_t end = offset + tensor.info.bytes();
    header[tensor.info.name] = {
        {"dtype", "F32"}, {"shape", tensor.info.shape}, {"data_offsets", Json::array({offset, end})}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  ByteWriter length;
  length.put(std::uint64_t{text.size()});

  AtomicFile file(path, AtomicFile::Existing::refuse, kLengthBytes + static_cast<std::int64_t>(text.size()) + offset);
  file.write(length.bytes());
  file.write(text);
  for (const TensorSource& tensor : tensors) {
    for_each_piece(tensor, [&](std::span<const std::byte> piece) { file.write(piece); });
  }
  file.commit();
}

}  // namespace zhgpt::interop
