// .mpk: the document as MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md); a tensor is one
// bin of little-endian bytes, which an element of another order than msgpack's own numbers needs.
//
// The reader keeps its own stack of bounded depth, takes nothing from a count before the bytes are there, and
// knows the kinds that the writer writes: nil and extensions are refused.
#include <algorithm>
#include <bit>
#include <cstring>

#include "io/document.h"
#include "io/format.h"
#include "io/hashed_file.h"
#include "io/section.h"
#include "io/snapshot_stream.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

constexpr std::string_view kHead =
    "\x8A\xA6"
    "format"
    "\xA5zhgpt"
    "\xA4hash\xCF";
constexpr std::string_view kPlaceholder("\0\0\0\0\0\0\0\0", 8);
constexpr std::uint64_t kMostBytesInBin = 0xFFFFFFFFu;

// MessagePack's integers are big-endian.
std::string big_endian(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i) & 0xFF);
  return out;
}

class MsgpackWriter : public DocumentWriter {
 public:
  explicit MsgpackWriter(HashedFile& file) : file_(file) {}

  void begin_map(std::size_t entries) override { put_count(entries, 0x80, 16, 0xDE, 0xDF); }
  void end_map() override {}
  void begin_array(std::size_t count) override { put_count(count, 0x90, 16, 0xDC, 0xDD); }
  void end_array() override {}
  void key(std::string_view key) override { text(key); }
  void text(std::string_view text) override {
    if (text.size() >= 32 && text.size() < 256) {
      put(0xD9, text.size(), 1);
    } else {
      put_count(text.size(), 0xA0, 32, 0xDA, 0xDB);
    }
    file_.write(text);
  }
  void integer(std::int64_t value) override {
    const auto bits = static_cast<std::uint64_t>(value);
    if (value >= -32 && value < 128) return file_.write(big_endian(bits, 1));
    for (const auto& [code, bytes] : {std::pair{0xD0, 1}, {0xD1, 2}, {0xD2, 4}, {0xD3, 8}}) {
      const int unused = 64 - 8 * bytes;
      if (static_cast<std::int64_t>(bits << unused) >> unused == value) return put(code, bits, bytes);
    }
  }
  void real(double value, std::string_view) override { put(0xCB, std::bit_cast<std::uint64_t>(value), 8); }
  void boolean(bool value) override { file_.write(big_endian(value ? 0xC3 : 0xC2, 1)); }
  void hash_place() override {
    file_.write("\xCF");
    file_.write_placeholder(kPlaceholder);
  }
  void begin_data(const TensorInfo& info) override { put(0xC6, static_cast<std::uint64_t>(info.bytes()), 4); }
  void data(const TensorInfo&, std::span<const std::byte> chunk) override { file_.write(chunk); }
  void end_data() override {}

 private:
  void put(int code, std::uint64_t value, int bytes) {
    file_.write(big_endian(static_cast<std::uint64_t>(code), 1) + big_endian(value, bytes));
  }
  void put_count(std::size_t count, int small_code, std::size_t small_end, int code_16, int code_32) {
    if (count < small_end) return file_.write(big_endian(static_cast<std::uint64_t>(small_code) + count, 1));
    if (count < 65536) return put(code_16, count, 2);
    put(code_32, count, 4);
  }
  HashedFile& file_;
};

class MsgpackContents : public DocumentContents {
 private:
  void read_chunk(std::size_t index, std::uint32_t chunk, std::span<std::byte> to) const override {
    source->read(chunk_places[index][chunk], to);
  }
};

class MsgpackReader {
 public:
  MsgpackReader(const ByteSource& source, DocumentBuilder& builder) : source_(source), builder_(builder) {}

  void read() {
    do {
      read_value();
      close_full();
    } while (!open_.empty());
    if (at_ != source_.size()) refuse(tr(Msg::doc_bytes_left), std::to_string(source_.size() - at_), "0");
  }

 private:
  struct Open {
    bool is_map = false;
    std::uint64_t left = 0;  // keys and values, or elements
  };
  static constexpr std::size_t kMostOpen = 8;
  static constexpr std::int64_t kWindowBytes = 1 << 16;

  [[noreturn]] void refuse(const std::string& what, const std::string& found, const std::string& expected) {
    builder_.place = at_;
    builder_.refuse(what, found, expected);
  }

  // The next bytes, which are there: through a window, since a token has one to nine.
  void fetch(std::span<std::byte> to) {
    const auto size = static_cast<std::int64_t>(to.size());
    if (size > kWindowBytes) {
      source_.read(at_, to);
    } else {
      if (at_ < window_at_ || at_ + size > window_at_ + static_cast<std::int64_t>(window_.size())) {
        window_.resize(static_cast<std::size_t>(std::min(kWindowBytes, source_.size() - at_)));
        source_.read(at_, window_);
        window_at_ = at_;
      }
      std::copy_n(window_.begin() + (at_ - window_at_), to.size(), to.begin());
    }
    at_ += size;
  }

  std::uint64_t take(int bytes) {
    std::byte raw[8];
    const std::int64_t left = source_.size() - at_;
    if (left < bytes) refuse(tr(Msg::doc_ends), std::to_string(left), std::to_string(bytes));
    fetch(std::span(raw).first(static_cast<std::size_t>(bytes)));
    std::uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value = value << 8 | std::to_integer<std::uint64_t>(raw[i]);
    return value;
  }

  void begin(bool is_map, std::uint64_t count) {
    if (open_.size() == kMostOpen)
      refuse(tr(Msg::doc_depth), std::to_string(kMostOpen + 1), std::to_string(kMostOpen));
    // Each entry has a byte at least: a count that the file can not hold is refused at once.
    const auto left = static_cast<std::uint64_t>(source_.size() - at_);
    const std::uint64_t entries = is_map ? 2 * count : count;  // count < 2^32
    if (entries > left) refuse(tr(Msg::doc_ends), std::to_string(left), std::to_string(entries));
    builder_.place = at_;
    if (is_map) {
      builder_.begin_map();
    } else {
      builder_.begin_array();
    }
    open_.push_back({is_map, entries});
  }
  void close_full() {
    while (!open_.empty() && open_.back().left == 0) {
      builder_.place = at_;
      if (open_.back().is_map) {
        builder_.end_map();
      } else {
        builder_.end_array();
      }
      open_.pop_back();
    }
  }

  // Whether it is text is asked where it is used, and there are characters that a record may not hold.
  void text(std::uint64_t bytes, bool is_key) {
    const auto left = static_cast<std::uint64_t>(source_.size() - at_);
    if (bytes > left) refuse(tr(Msg::doc_ends), std::to_string(left), std::to_string(bytes));
    std::string value(static_cast<std::size_t>(bytes), '\0');
    fetch(std::as_writable_bytes(std::span(value)));
    if (is_key) {
      builder_.key(value);
    } else {
      builder_.text(value);
    }
  }

  void binary(std::uint64_t bytes) {
    const auto left = static_cast<std::uint64_t>(source_.size() - at_);
    if (bytes > left) refuse(tr(Msg::doc_ends), std::to_string(left), std::to_string(bytes));
    builder_.place = at_;
    builder_.begin_binary(bytes);
    const std::int64_t end = at_ + static_cast<std::int64_t>(bytes);
    while (at_ < end) {
      buffer_.resize(static_cast<std::size_t>(std::min(end - at_, format::kChunkBytes)));
      source_.read(at_, buffer_);
      at_ += static_cast<std::int64_t>(buffer_.size());
      builder_.place = at_;
      builder_.binary(buffer_);
    }
  }

  static std::int64_t sign_extended(std::uint64_t value, int bytes) {
    const int unused = 64 - 8 * bytes;
    return static_cast<std::int64_t>(value << unused) >> unused;
  }

  void read_value() {
    // In a map keys and values take turns, and both count.
    const bool is_key = !open_.empty() && open_.back().is_map && open_.back().left % 2 == 0;
    if (!open_.empty()) --open_.back().left;
    const auto code = static_cast<unsigned>(take(1));
    builder_.place = at_;
    const bool is_text = code >> 5 == 5 || (code >= 0xD9 && code <= 0xDB);
    if (is_key && !is_text) refuse(tr(Msg::doc_key), hex(code), tr(Msg::doc_text));
    if (code < 0x80) return builder_.integer(code);
    if (code >= 0xE0) return builder_.integer(static_cast<std::int64_t>(code) - 256);
    if (code < 0x90) return begin(true, code & 15);
    if (code < 0xA0) return begin(false, code & 15);
    if (code < 0xC0) return text(code & 31, is_key);
    switch (code) {
      case 0xC2:
      case 0xC3:
        return builder_.boolean(code == 0xC3);
      case 0xC4:
      case 0xC5:
      case 0xC6:
        return binary(take(1 << (code - 0xC4)));
      case 0xCB:
        return builder_.real(to_text(std::bit_cast<double>(take(8))));
      case 0xCC:
      case 0xCD:
      case 0xCE:
      case 0xCF:
        return builder_.natural(take(1 << (code - 0xCC)));
      case 0xD0:
      case 0xD1:
      case 0xD2:
      case 0xD3: {
        const int bytes = 1 << (code - 0xD0);
        return builder_.integer(sign_extended(take(bytes), bytes));
      }
      case 0xD9:
      case 0xDA:
      case 0xDB:
        return text(take(1 << (code - 0xD9)), is_key);
      case 0xDC:
      case 0xDD:
        return begin(false, take(code == 0xDC ? 2 : 4));
      case 0xDE:
      case 0xDF:
        return begin(true, take(code == 0xDE ? 2 : 4));
      default:
        refuse(tr(Msg::doc_value), hex(code), tr(Msg::doc_as_described));
    }
  }

  const ByteSource& source_;
  DocumentBuilder& builder_;
  std::int64_t at_ = 0;
  std::vector<Open> open_;
  std::vector<std::byte> buffer_;
  std::vector<std::byte> window_;  // of the file, from window_at_ on
  std::int64_t window_at_ = 0;
};

void verify_hash(const ByteSource& source) {
  const auto place = static_cast<std::int64_t>(kHead.size());
  const std::string head = source.head(place + 8);
  if (!head.starts_with(kHead) || head.size() != kHead.size() + 8) {
    source.refuse(0, tr(Msg::ck_magic), hex(head.empty() ? 0 : static_cast<unsigned char>(head[0])),
                  "8a a6 format");
  }
  const std::string stored = head.substr(kHead.size());
  const std::uint64_t hash = hash_of_file(source, place, kPlaceholder);
  if (hashes_differ(stored == big_endian(hash, 8), true)) {
    std::uint64_t value = 0;
    for (const char c : stored) value = value << 8 | static_cast<unsigned char>(c);
    source.refuse(place, tr(Msg::doc_hash), hex(hash), hex(value));
  }
}

}  // namespace

std::shared_ptr<const Contents> read_msgpack(std::shared_ptr<const ByteSource> source) {
  verify_hash(*source);
  const auto contents = std::make_shared<MsgpackContents>();
  contents->source = source;
  contents->format = Format::msgpack;
  DocumentBuilder builder(*contents, true);
  MsgpackReader(*source, builder).read();
  builder.finish();
  return contents;
}

void write_msgpack(const std::string& path, const Snapshot& snapshot, bool overwrite) {
  check_snapshot(path, snapshot);
  std::int64_t least_bytes = 0;
  for (const TensorSource& tensor : snapshot.tensors) {
    const std::int64_t bytes = tensor.info.bytes();
    if (static_cast<std::uint64_t>(bytes) > kMostBytesInBin) {
      throw CheckpointError(tr(Msg::doc_tensor_too_large, path, tensor.info.name, bytes, kMostBytesInBin));
    }
    least_bytes += bytes;
  }
  HashedFile file(path, overwrite, least_bytes);
  MsgpackWriter writer(file);
  write_document(writer, path, snapshot);
  file.commit(big_endian(file.hash(), 8));
}

}  // namespace zhgpt
