#include "io/safetensors_header.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <string_view>

#include <nlohmann/json.hpp>

#include "io/coding.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

constexpr std::int64_t kLengthBytes = 8;
constexpr std::size_t kMostRank = 8;
constexpr std::size_t kMostTensors = 100'000;

std::optional<std::int64_t> element_bytes(std::string_view dtype) {
  constexpr std::pair<std::string_view, std::int64_t> kSizes[] = {
      {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8}, {"I64", 8},  {"I32", 4},     {"I16", 2},    {"I8", 1},
      {"U64", 8}, {"U32", 4}, {"U16", 2},  {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};
  for (const auto& [name, bytes] : kSizes) {
    if (name == dtype) return bytes;
  }
  return std::nullopt;
}

std::string shown(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 60)) out += c >= ' ' && c <= '~' ? c : '?';
  return out;
}

// {"__metadata__": {text: text}, NAME: {"dtype": text, "shape": [n], "data_offsets": [n, n]}}
class HeaderEvents : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderEvents(const ByteSource& source, SafetensorsHeader& header) : source_(source), header_(header) {}

  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("boolean"); }
  bool number_integer(std::int64_t value) override {
    unexpected(std::to_string(value));
  }  // the negative ones
  bool number_float(double, const std::string& text) override { unexpected(text); }
  bool binary(nlohmann::json::binary_t&) override { unexpected("binary"); }

  bool start_object(std::size_t) override {
    require(depth_ < 2 && !numbers_, "{");
    if (++depth_ == 2) {
      inner_keys_.clear();
      is_metadata_ = outer_ == "__metadata__";
      if (!is_metadata_) header_.tensors.push_back({.name = outer_, .dtype = {}, .shape = {}});
      if (header_.tensors.size() > kMostTensors) unexpected("> " + std::to_string(kMostTensors));
    }
    return true;
  }
  bool key(std::string& key) override {
    if (!(depth_ == 1 ? outer_keys_ : inner_keys_).insert(key).second)
      refuse(tr(Msg::doc_repeated), key, "1");
    (depth_ == 1 ? outer_ : inner_) = key;
    return true;
  }
  bool end_object() override {
    if (--depth_ == 1 && !is_metadata_ &&
        inner_keys_ != std::set<std::string>{"data_offsets", "dtype", "shape"}) {
      refuse(tr(Msg::doc_missing), outer_, "dtype, shape, data_offsets");
    }
    return true;
  }
  bool start_array(std::size_t) override {
    const bool is_tensor = depth_ == 2 && !is_metadata_ && !numbers_;
    require(is_tensor && (inner_ == "shape" || inner_ == "data_offsets"), "[");
    numbers_.emplace();
    return true;
  }
  bool number_unsigned(std::uint64_t value) override {
    require(numbers_ && value <= std::numeric_limits<std::int64_t>::max() && numbers_->size() < kMostRank,
            std::to_string(value));
    numbers_->push_back(static_cast<std::int64_t>(value));
    return true;
  }
  bool end_array() override {
    SafetensorsTensor& tensor = header_.tensors.back();
    if (inner_ == "shape") {
      tensor.shape = *numbers_;
    } else {
      require(numbers_->size() == 2, "data_offsets");
      tensor.begin = (*numbers_)[0];
      tensor.end = (*numbers_)[1];
    }
    numbers_.reset();
    return true;
  }
  bool string(std::string& value) override {
    require(depth_ == 2 && !numbers_ && (is_metadata_ || inner_ == "dtype"), value);
    if (is_metadata_) {
      header_.metadata.emplace_back(inner_, value);
    } else {
      header_.tensors.back().dtype = value;
    }
    return true;
  }
  bool parse_error(std::size_t position, const std::string& token,
                   const nlohmann::json::exception&) override {
    source_.refuse(kLengthBytes + static_cast<std::int64_t>(position), tr(Msg::doc_not_json), shown(token),
                   "JSON");
  }

 private:
  [[noreturn]] void refuse(const std::string& what, const std::string& found,
                           const std::string& expected) const {
    source_.refuse(kLengthBytes, what + " (" + shown(outer_) + ")", shown(found), expected);
  }
  [[noreturn]] void unexpected(const std::string& found) const {
    refuse(tr(Msg::doc_unexpected), found, tr(Msg::st_as_described));
  }
  void require(bool holds, const std::string& found) const {
    if (!holds) unexpected(found);
  }

  const ByteSource& source_;
  SafetensorsHeader& header_;
  int depth_ = 0;
  bool is_metadata_ = false;
  std::string outer_, inner_;
  std::set<std::string> outer_keys_, inner_keys_;
  std::optional<std::vector<std::int64_t>> numbers_;  // of the array that is open
};

std::optional<std::int64_t> bytes_of(const SafetensorsTensor& tensor) {
  std::optional<std::int64_t> bytes = element_bytes(tensor.dtype);
  for (const std::int64_t dim : tensor.shape) {
    std::int64_t product = 0;
    if (!bytes || __builtin_mul_overflow(*bytes, dim, &product)) return std::nullopt;
    bytes = product;
  }
  return bytes;
}

}  // namespace

const std::string* SafetensorsHeader::find_metadata(const std::string& key) const {
  const auto found = std::ranges::find(metadata, key, &std::pair<std::string, std::string>::first);
  return found == metadata.end() ? nullptr : &found->second;
}

SafetensorsHeader read_safetensors_header(const ByteSource& source) {
  const std::string head = source.head(kLengthBytes);
  ByteReader in(std::as_bytes(std::span(head)));
  std::uint64_t bytes = 0;
  const std::int64_t left = source.size() - kLengthBytes;
  if (!in.get(bytes)) source.refuse(0, tr(Msg::doc_ends), std::to_string(source.size()), ">= 8");
  const auto most = static_cast<std::uint64_t>(std::min(left, kMostSafetensorsHeaderBytes));
  if (bytes > most)
    source.refuse(0, tr(Msg::st_header_length), std::to_string(bytes), "<= " + std::to_string(most));

  std::string text(static_cast<std::size_t>(bytes), '\0');
  source.read(kLengthBytes, std::as_writable_bytes(std::span(text)));
  if (!text.starts_with('{'))
    source.refuse(kLengthBytes, tr(Msg::doc_not_json), shown(text.substr(0, 1)), "{");
  SafetensorsHeader header;
  HeaderEvents events(source, header);
  nlohmann::json::sax_parse(text, &events);

  header.data_begin = kLengthBytes + static_cast<std::int64_t>(bytes);
  std::ranges::stable_sort(header.tensors, {},
                           [](const SafetensorsTensor& t) { return std::pair(t.begin, t.end); });
  std::int64_t end = 0;
  for (SafetensorsTensor& tensor : header.tensors) {
    const auto refuse = [&](Msg what, const std::string& found, const std::string& expected) {
      source.refuse(kLengthBytes, tr(what) + " (" + shown(tensor.name) + ")", found, expected);
    };
    const auto size = bytes_of(tensor);
    if (!element_bytes(tensor.dtype)) refuse(Msg::ck_dtype, shown(tensor.dtype), "F32, F16, BF16, …");
    if (!size) refuse(Msg::ck_dimension, "> 2^63", "< 2^63");
    if (tensor.begin != end) refuse(Msg::ck_offset, std::to_string(tensor.begin), std::to_string(end));
    if (tensor.end < tensor.begin || tensor.end - tensor.begin != *size) {
      refuse(Msg::ck_length, std::to_string(tensor.end),
             std::to_string(tensor.begin) + " + " + std::to_string(*size));
    }
    end = tensor.end;
    if (end > source.size() - header.data_begin) {
      refuse(Msg::ck_length, std::to_string(end), "<= " + std::to_string(source.size() - header.data_begin));
    }
    tensor.begin += header.data_begin;
    tensor.end += header.data_begin;
  }
  if (header.data_begin + end != source.size()) {
    source.refuse(header.data_begin + end, tr(Msg::doc_bytes_left),
                  std::to_string(source.size() - header.data_begin - end), "0");
  }
  return header;
}

}  // namespace zhgpt
