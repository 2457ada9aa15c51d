#include <charconv>
#include <cmath>

#include "io/document.h"
#include "io/document_words.h"
#include "io/section.h"
#include "io/snapshot_stream.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

// The value as the document's own number, boolean or text, where reading that back gives `value` again.
bool write_plain_value(DocumentWriter& out, const std::string& value) {
  if (value == "true" || value == "false") {
    out.boolean(value == "true");
    return true;
  }
  const char* end = value.data() + value.size();
  std::int64_t integer = 0;
  if (std::from_chars(value.data(), end, integer).ptr == end && std::to_string(integer) == value) {
    out.integer(integer);
    return true;
  }
  double real = 0;
  if (value != "-0" &&  // which JSON has as an integer
      std::from_chars(value.data(), end, real).ptr == end && std::isfinite(real) && to_text(real) == value) {
    out.real(real, value);
    return true;
  }
  try {
    const std::string text = toml_unquote(value);
    if (toml_quote(text) != value) return false;
    out.text(text);
    return true;
  } catch (const ConfigError&) {
    return false;
  }
}

void write_record(DocumentWriter& out, const char* name, const KeyValues& record) {
  out.key(name);
  out.begin_map(record.entries().size());
  for (const auto& [key, value] : record.entries()) {
    out.key(key);
    if (write_plain_value(out, value)) continue;
    out.begin_array(1);
    out.text(value);
    out.end_array();
  }
  out.end_map();
}

void write_vocab(DocumentWriter& out, const std::vector<std::int32_t>& vocab) {
  out.key("vocab");
  out.begin_map(1);
  out.key("words");
  out.begin_array(vocab.size());
  for (const std::int32_t entry : vocab) {
    if (const auto word = word_of_entry(entry)) {
      out.text(*word);
    } else {
      out.integer(entry);
    }
  }
  out.end_array();
  out.end_map();
}

void write_layer(DocumentWriter& out, const std::string& path, const TensorSource& tensor,
                 std::vector<std::byte>& buffer) {
  const TensorInfo& info = tensor.info;
  out.begin_map(5);
  out.key("name");
  out.text(info.name);
  out.key("kind");
  out.text(kind_name(info.kind));
  out.key("dtype");
  out.text(dtype_name(info.dtype));
  out.key("shape");
  out.begin_array(info.shape.size());
  for (const std::int64_t dim : info.shape) out.integer(dim);
  out.end_array();
  out.key("data");
  out.begin_data(info);
  for_each_chunk(tensor, buffer, [&](std::span<const std::byte> chunk, std::uint32_t index) {
    require_finite(path, info, index, chunk);
    out.data(info, chunk);
  });
  out.end_data();
  out.end_map();
}

}  // namespace

void write_document(DocumentWriter& out, const std::string& path, const Snapshot& snapshot) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string run_id;
  for (const std::uint8_t byte : snapshot.run_id) run_id += {kHex[byte >> 4], kHex[byte & 15]};

  out.begin_map(kDocumentEntries);
  out.key("format");
  out.text("zhgpt");
  out.key("hash");
  out.hash_place();
  out.key("version");
  out.integer(kDocumentVersion);
  out.key("step");
  out.integer(snapshot.step);
  out.key("run_id");
  out.text(run_id);
  write_record(out, "config", snapshot.config);
  write_record(out, "progress", snapshot.progress);
  write_vocab(out, snapshot.vocab);
  out.key("history");
  out.text(snapshot.history);
  out.key("layers");
  out.begin_array(snapshot.tensors.size());
  std::vector<std::byte> buffer;
  for (const TensorSource& tensor : snapshot.tensors) write_layer(out, path, tensor, buffer);
  out.end_array();
  out.end_map();
}

}  // namespace zhgpt
