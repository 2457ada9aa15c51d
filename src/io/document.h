// The state as one document of maps, arrays, texts and numbers, of which .json and .mpk are two spellings.
//
//   {format: "zhgpt", hash: H, version: 1, step: N, run_id: 32 hex digits, config: {key: value}, progress:
//   {key: value}, vocab: {words: [word]}, history: text, layers: [{name, kind, dtype, shape: [d], data}]}
//
// Keys come in any order, except that a layer's `data` follows its other entries. A value of config or
// progress is an integer, a real, a boolean or a text where that brings back exactly what the record says;
// otherwise it is an array of one text, the value as the record writes it. A word is a character, <unk>,
// <|endoftext|>, or, for an entry that is no character, its number.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "io/contents.h"
#include "io/hash.h"

namespace zhgpt {

inline constexpr std::int64_t kDocumentVersion = 1;
inline constexpr int kDocumentEntries = 10;  // of the outermost map

// One spelling, written front to back.
class DocumentWriter {
 public:
  virtual ~DocumentWriter() = default;
  virtual void begin_map(std::size_t entries) = 0;
  virtual void key(std::string_view key) = 0;
  virtual void end_map() = 0;
  virtual void begin_array(std::size_t count) = 0;
  virtual void end_array() = 0;
  virtual void text(std::string_view text) = 0;
  virtual void integer(std::int64_t value) = 0;
  virtual void real(double value, std::string_view text) = 0;  // text: its shortest decimals
  virtual void boolean(bool value) = 0;
  virtual void hash_place() = 0;  // where the file's hash will stand
  virtual void begin_data(const TensorInfo& info) = 0;
  virtual void data(const TensorInfo& info, std::span<const std::byte> chunk) = 0;
  virtual void end_data() = 0;
};

// REQUIRES: check_snapshot has passed. `path` is named when a float is not finite.
void write_document(DocumentWriter& out, const std::string& path, const Snapshot& snapshot);

// What a document held. The spelling says how a chunk is found again.
class DocumentContents : public Contents {
 public:
  // A chunk's first byte, or a byte before it from where on nothing but it comes first.
  std::vector<std::vector<std::int64_t>> chunk_places;  // [tensor][chunk]

 private:
  friend class DocumentBuilder;
};

// Makes Contents of a document that is told front to back. Everything is checked on the way; every method
// throws CheckpointError. Memory: the records, and a chunk of 16 MiB.
class DocumentBuilder {
 public:
  // REQUIRES: contents.source is set. has_hash: whether the file's hash was found and verified.
  DocumentBuilder(DocumentContents& contents, bool has_hash) : contents_(contents), has_hash_(has_hash) {}

  std::int64_t place = 0;  // in the file, just behind what is told next

  void begin_map();
  void key(const std::string& key);
  void end_map();
  void begin_array();
  void end_array();
  void text(const std::string& text);
  void integer(std::int64_t value);
  void natural(std::uint64_t value);
  void real(const std::string& text);
  void boolean(bool value);
  void begin_binary(std::uint64_t bytes);  // then its bytes, in pieces
  void binary(std::span<const std::byte> bytes);
  void finish();  // after the outermost map

  [[noreturn]] void refuse(const std::string& what, const std::string& found,
                           const std::string& expected) const;

 private:
  enum class Scalar { text, integer, real, boolean };
  struct Level {
    std::size_t base = 0;  // length of where_ outside
    bool is_array = false;
    std::set<std::string> keys = {};
  };
  void require_at(bool is_allowed, const char* what) const;
  bool is_at(std::string_view where) const { return where_ == where; }
  void scalar(Scalar kind, const std::string& value);
  void record_value(KeyValues& record, Scalar kind, const std::string& value);
  void word(Scalar kind, const std::string& value);
  std::int64_t natural_value(Scalar kind, const std::string& value) const;
  void begin_tensor();
  void element(const std::string& value);
  void finish_chunk();
  void end_tensor();

  DocumentContents& contents_;
  bool has_hash_;
  std::string where_;  // "/layers/[]/name"
  std::vector<Level> levels_;
  std::set<std::string> tensor_names_;
  TensorInfo info_;
  bool in_data_ = false;
  std::int64_t tensor_bytes_ = 0;  // told so far, whole chunks
  std::vector<std::byte> chunk_;
  StateHasher state_;
};

// An element of a tensor from its decimals; false when it is none, or does not fit. to: as many bytes as the
// dtype has.
bool parse_element(DType dtype, std::string_view text, std::byte* to);
// The shortest decimals that parse_element reads back to the same bits.
std::string_view element_text(DType dtype, const std::byte* from, std::span<char> buffer);

}  // namespace zhgpt
