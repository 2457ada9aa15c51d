// .json: the document as JSON (RFC 8259), laid out to be read: an entry a line, a tensor's row a line.
//
// The second line holds the hash of the whole file. Whoever edits the file deletes that line: then nothing
// proves the file but its structure. Numbers are the shortest decimals that name the same bits.
#include <algorithm>
#include <charconv>
#include <iterator>

#include <nlohmann/json.hpp>

#include "io/document.h"
#include "io/format.h"
#include "io/hashed_file.h"
#include "io/snapshot_stream.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

constexpr std::string_view kHead = "{\n  \"format\": \"zhgpt\",\n  \"hash\": \"";
constexpr std::string_view kPlaceholder = "0000000000000000";
constexpr std::string_view kAfterHash = "\",\n";

std::string hash_text(std::uint64_t hash) {
  std::string text(kPlaceholder);
  for (std::size_t i = 0; i < text.size(); ++i)
    text[text.size() - 1 - i] = "0123456789abcdef"[hash >> (4 * i) & 15];
  return text;
}

class JsonWriter : public DocumentWriter {
 public:
  explicit JsonWriter(HashedFile& file) : file_(file) {}

  void begin_map(std::size_t) override { begin('{', depth_ < 2); }
  void end_map() override { end('}'); }
  void begin_array(std::size_t) override { begin('[', is_layers_); }
  void end_array() override { end(']'); }
  void key(std::string_view key) override {
    separate();
    put_text(key);
    put(": ");
    is_after_key_ = true;
    is_layers_ = key == "layers";
  }
  void text(std::string_view text) override {
    separate();
    put_text(text);
  }
  void integer(std::int64_t value) override {
    separate();
    put(std::to_string(value));
  }
  void real(double, std::string_view text) override {
    separate();
    put(text);
  }
  void boolean(bool value) override {
    separate();
    put(value ? "true" : "false");
  }
  void hash_place() override {
    separate();
    put("\"");
    file_.write_placeholder(kPlaceholder);
    put("\"");
  }
  void begin_data(const TensorInfo& info) override {
    separate();
    put("[");
    row_ = info.shape.empty() ? 1 : info.shape.back();
    element_ = 0;
  }
  void data(const TensorInfo& info, std::span<const std::byte> chunk) override {
    const std::size_t size = static_cast<std::size_t>(dtype_bytes(info.dtype));
    char digits[40];
    for (std::size_t at = 0; at < chunk.size(); at += size, ++element_) {
      if (element_ > 0) put(",");
      if (element_ % row_ == 0) put("\n      ");
      put(element_text(info.dtype, chunk.data() + at, digits));
    }
  }
  void end_data() override { put("]"); }

  void finish() { put("\n"); }

 private:
  void begin(char bracket, bool has_lines) {
    separate();
    put({&bracket, 1});
    is_first_ = true;
    lines_.push_back(has_lines);
    ++depth_;
  }
  void end(char bracket) {
    const bool has_lines = lines_.back();
    lines_.pop_back();
    --depth_;
    if (has_lines && !is_first_) put_line();
    put({&bracket, 1});
    is_first_ = false;
  }
  // What comes between the value or key at hand and the one before it.
  void separate() {
    if (std::exchange(is_after_key_, false)) return;
    if (!lines_.empty()) {
      if (!is_first_) put(lines_.back() ? "," : ", ");
      if (lines_.back()) put_line();
    }
    is_first_ = false;
  }
  void put_line() {
    put("\n");
    for (int i = 0; i < depth_; ++i) put("  ");
  }
  void put_text(std::string_view text) { put(nlohmann::json(text).dump()); }
  void put(std::string_view text) { file_.write(text); }

  HashedFile& file_;
  std::vector<bool> lines_;  // of the open maps and arrays: an entry a line
  int depth_ = 0;
  bool is_first_ = true, is_after_key_ = false, is_layers_ = false;
  std::int64_t row_ = 1, element_ = 0;
};

// The bytes of a source from a place on, one after the other.
class ByteStream {
 public:
  explicit ByteStream(const ByteSource& source, std::int64_t place = 0) : source_(source), begin_(place) {}
  bool is_at_end() {
    if (at_ < buffer_.size()) return false;
    begin_ += static_cast<std::int64_t>(buffer_.size());
    at_ = 0;
    buffer_.resize(static_cast<std::size_t>(std::min(kBytes, source_.size() - begin_)));
    source_.read(begin_, std::as_writable_bytes(std::span(buffer_)));
    return buffer_.empty();
  }
  char peek() const { return buffer_[at_]; }  // REQUIRES: !is_at_end()
  void next() { ++at_; }
  std::int64_t place() const { return begin_ + static_cast<std::int64_t>(at_); }

 private:
  static constexpr std::int64_t kBytes = 1 << 16;
  const ByteSource& source_;
  std::int64_t begin_;
  std::string buffer_;
  std::size_t at_ = 0;
};

// As the library wants its input: a pair of iterators.
class StreamIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  explicit StreamIterator(ByteStream* stream = nullptr) : stream_(stream) {}
  char operator*() const { return stream_->peek(); }
  StreamIterator& operator++() {
    stream_->next();
    return *this;
  }
  // Only ever compared with the end.
  bool operator==(const StreamIterator&) const { return !stream_ || stream_->is_at_end(); }
  bool operator!=(const StreamIterator& other) const { return !(*this == other); }

 private:
  ByteStream* stream_;
};

class JsonEvents : public nlohmann::json_sax<nlohmann::json> {
 public:
  JsonEvents(ByteStream& stream, DocumentBuilder& builder) : stream_(stream), builder_(builder) {}

  bool null() override { builder_.refuse(tr(Msg::doc_value), "null", tr(Msg::doc_as_described)); }
  bool boolean(bool value) override {
    return tell([&] { builder_.boolean(value); });
  }
  bool number_integer(std::int64_t value) override {
    return tell([&] { builder_.integer(value); });
  }
  bool number_unsigned(std::uint64_t value) override {
    return tell([&] { builder_.natural(value); });
  }
  bool number_float(double, const std::string& text) override {
    return tell([&] { builder_.real(text); });
  }
  bool string(std::string& value) override {
    return tell([&] { builder_.text(value); });
  }
  bool binary(nlohmann::json::binary_t&) override { return false; }  // there is none in JSON
  bool start_object(std::size_t) override {
    return tell([&] { builder_.begin_map(); });
  }
  bool key(std::string& key) override {
    return tell([&] { builder_.key(key); });
  }
  bool end_object() override {
    return tell([&] { builder_.end_map(); });
  }
  bool start_array(std::size_t) override {
    return tell([&] { builder_.begin_array(); });
  }
  bool end_array() override {
    return tell([&] { builder_.end_array(); });
  }
  bool parse_error(std::size_t, const std::string& token, const nlohmann::json::exception&) override {
    builder_.place = stream_.place();
    builder_.refuse(tr(Msg::doc_not_json), token, "JSON");
  }

 private:
  template <class Tell>
  bool tell(Tell tell) {
    builder_.place = stream_.place();
    tell();
    return true;
  }
  ByteStream& stream_;
  DocumentBuilder& builder_;
};

class JsonContents : public DocumentContents {
 private:
  void read_chunk(std::size_t index, std::uint32_t chunk, std::span<std::byte> to) const override {
    const DType dtype = tensors[index].dtype;
    const auto size = static_cast<std::size_t>(dtype_bytes(dtype));
    ByteStream stream(*source, chunk_places[index][chunk]);
    for (std::size_t at = 0; at < to.size(); at += size) {
      const std::string text = next_number(stream);
      if (!parse_element(dtype, text, to.data() + at)) {
        source->refuse(stream.place(), tr(Msg::ck_changed), tensors[index].name, tr(Msg::ck_unchanged));
      }
    }
  }

  static std::string next_number(ByteStream& stream) {
    const auto is_part = [](char c) {
      return (c >= '0' && c <= '9') || std::string_view("+-.eE").find(c) != std::string_view::npos;
    };
    while (!stream.is_at_end() && !is_part(stream.peek())) stream.next();
    std::string text;
    for (; !stream.is_at_end() && is_part(stream.peek()); stream.next()) text += stream.peek();
    return text == "-0" ? "0" : text;  // an integer, as the library reads it
  }
};

// Whether the file has its hash where we write it. Throws CheckpointError when it has, and is not what it
// says.
bool verify_hash(const ByteSource& source) {
  const auto place = static_cast<std::int64_t>(kHead.size());
  const std::string head = source.head(place + 16 + static_cast<std::int64_t>(kAfterHash.size()));
  if (!head.starts_with(kHead) || !head.ends_with(kAfterHash)) return false;
  const std::string stored = head.substr(kHead.size(), kPlaceholder.size());
  const std::uint64_t hash = hash_of_file(source, place, kPlaceholder);
  if (hashes_differ(stored == hash_text(hash), true))
    source.refuse(place, tr(Msg::doc_hash), hash_text(hash), stored);
  return true;
}

}  // namespace

std::shared_ptr<const Contents> read_json(std::shared_ptr<const ByteSource> source) {
  const auto contents = std::make_shared<JsonContents>();
  contents->source = source;
  contents->format = Format::json;
  DocumentBuilder builder(*contents, verify_hash(*source));
  ByteStream stream(*source);
  JsonEvents events(stream, builder);
  nlohmann::json::sax_parse(StreamIterator(&stream), StreamIterator(), &events);
  builder.finish();
  return contents;
}

void write_json(const std::string& path, const Snapshot& snapshot, bool overwrite) {
  check_snapshot(path, snapshot);
  std::int64_t least_bytes = 0;  // a digit and a comma an element
  for (const TensorSource& tensor : snapshot.tensors)
    least_bytes += 2 * (tensor.info.bytes() / dtype_bytes(tensor.info.dtype));
  HashedFile file(path, overwrite, least_bytes);
  JsonWriter writer(file);
  write_document(writer, path, snapshot);
  writer.finish();
  file.commit(hash_text(file.hash()));
}

}  // namespace zhgpt
