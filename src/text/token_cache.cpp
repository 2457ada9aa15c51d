#include "text/token_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "text/hasher.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(CorpusReport, files, documents, characters, source_bytes, val_documents,
                                   invalid_sequences, dropped_controls, unknown_train, unknown_val, encodings,
                                   document_rule, notes)

namespace {

static_assert(std::endian::native == std::endian::little, "tokens are written as they lie in memory");

using nlohmann::json;

struct Header {
  std::array<char, 8> magic{'Z', 'H', 'G', 'P', 'T', 'T', 'O', 'K'};
  std::uint32_t version = 1;
  std::uint32_t dtype = 0;
  std::int64_t train_count = 0, val_count = 0;
  std::uint64_t fingerprint = 0, record_bytes = 0, content_hash = 0, header_hash = 0;
};
static_assert(sizeof(Header) == 64);

std::uint64_t hash_of(const Header& header) {
  return XXH3_64bits(&header, offsetof(Header, header_hash));
}

json to_json(const std::vector<SourceIdentity>& sources) {
  json list = json::array();
  for (const SourceIdentity& source : sources) {
    list.push_back({source.name, source.kind == SourceKind::jsonl, source.bytes, source.hash});
  }
  return list;
}

std::vector<SourceIdentity> sources_of(const json& list) {
  std::vector<SourceIdentity> sources;
  for (const json& item : list) {
    sources.push_back(
        {item.at(0), item.at(1).get<bool>() ? SourceKind::jsonl : SourceKind::text, item.at(2), item.at(3)});
  }
  return sources;
}

class CacheFile {
 public:
  explicit CacheFile(const std::string& path)
      : path_(path), fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    struct stat info {};
    const bool is_usable = fd_ >= 0 && fstat(fd_, &info) == 0 && S_ISREG(info.st_mode);
    size_ = info.st_size;
    if (is_usable) return;
    const std::string reason = fd_ < 0 ? std::strerror(errno) : "not a regular file";
    if (fd_ >= 0) close(fd_);
    throw DataError(tr(Msg::cache_missing, path_, reason));
  }
  CacheFile(const CacheFile&) = delete;
  CacheFile& operator=(const CacheFile&) = delete;
  ~CacheFile() { close(fd_); }

  std::int64_t size() const { return size_; }
  std::int64_t offset() const { return offset_; }
  void seek(std::int64_t offset) { offset_ = offset; }

  void read(std::span<std::byte> to) {
    while (!to.empty()) {
      const ssize_t n = pread(fd_, to.data(), to.size(), offset_);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw IoError(tr(Msg::corpus_read_failed, path_, 0, std::strerror(errno)));
      if (n == 0) damaged("size", size_ - static_cast<std::int64_t>(to.size()), size_);
      offset_ += n;
      to = to.subspan(static_cast<std::size_t>(n));
    }
  }

  template <class Found, class Expected>
  [[noreturn]] void damaged(const char* what, const Found& found, const Expected& expected) const {
    throw DataError(tr(Msg::cache_damaged, path_, what, found, expected));
  }
  template <class Value>
  void expect(const char* what, const Value& found, const Value& expected) const {
    if (found != expected) damaged(what, found, expected);
  }

 private:
  std::string path_;
  int fd_;
  std::int64_t size_ = 0, offset_ = 0;
};

// Header fields against each other and the file's size, so that sizes can be trusted afterwards.
void check_header(const CacheFile& file, const Header& header) {
  file.expect("magic", std::string_view(header.magic.data(), 8), std::string_view(Header{}.magic.data(), 8));
  file.expect("header hash", header.header_hash, hash_of(header));
  file.expect("version", header.version, Header{}.version);
  const bool is_u16 = header.dtype == static_cast<std::uint32_t>(DType::u16);
  if (!is_u16) file.expect("dtype", header.dtype, static_cast<std::uint32_t>(DType::i32));
  const std::int64_t width = is_u16 ? 2 : 4, room = file.size() - static_cast<std::int64_t>(sizeof(Header));
  const auto at_most = [&](const char* what, std::int64_t value, std::int64_t most) {
    if (value < 0 || value > most) file.damaged(what, value, most);
  };
  at_most("record size", static_cast<std::int64_t>(header.record_bytes), room);
  const std::int64_t tokens = (room - static_cast<std::int64_t>(header.record_bytes)) / width;
  at_most("training tokens", header.train_count, tokens);
  at_most("validation tokens", header.val_count, tokens - header.train_count);
  file.expect(
      "size", room,
      static_cast<std::int64_t>(header.record_bytes) + width * (header.train_count + header.val_count));
}

// Calls use(bytes) for the next `bytes` of the file, in order.
template <class Use>
void read_pieces(CacheFile& file, std::int64_t bytes, Use use) {
  std::vector<std::byte> piece;
  for (; bytes > 0; bytes -= std::ssize(piece)) {
    piece.resize(static_cast<std::size_t>(std::min<std::int64_t>(bytes, kChunkBytes)));
    file.read(piece);
    use(std::span<const std::byte>(piece));
  }
}

// A token outside the vocabulary would index outside the model's tables.
void check_tokens(const CacheFile& file, std::span<const std::byte> ids, DType dtype,
                  std::int64_t vocab_size) {
  const auto check = [&]<class Id>(Id) {
    for (std::size_t at = 0; at < ids.size(); at += sizeof(Id)) {
      Id id = 0;
      std::memcpy(&id, &ids[at], sizeof id);
      if (std::int64_t{id} < 0 || std::int64_t{id} >= vocab_size) file.damaged("token", id, vocab_size);
    }
  };
  dtype == DType::u16 ? check(std::uint16_t{}) : check(std::int32_t{});
}

// Calls use(bytes) for all of them in order.
template <class Use>
void for_each_piece(ScratchFile& file, Use use) {
  std::vector<std::byte> piece(kChunkBytes);
  for (std::int64_t at = 0; at < file.bytes();) {
    const std::size_t n = file.read(at, piece);
    use(std::span<const std::byte>(piece).first(n));
    at += static_cast<std::int64_t>(n);
  }
}

}  // namespace

std::string token_cache_path(const std::string& run_dir) {
  return run_dir + "/corpus.tokens";
}

void write_token_cache(const std::string& path, const TokenCache& cache, TokenFile& train, TokenFile& val) {
  const Dataset& dataset = cache.dataset;
  const json record = {{"vocab", dataset.vocab.code_points()},
                       {"rules", cache.rules},
                       {"train_sources", to_json(cache.train_sources)},
                       {"val_sources", to_json(cache.val_sources)},
                       {"report", dataset.report}};
  // File names need not be UTF-8.
  const std::string text = record.dump(-1, ' ', false, json::error_handler_t::replace);

  Header header;
  header.dtype = static_cast<std::uint32_t>(train.dtype());
  header.train_count = train.count();
  header.val_count = val.count();
  header.fingerprint = dataset.fingerprint;
  header.record_bytes = text.size();
  Hasher hash;
  hash.update(std::as_bytes(std::span(text)));
  for (TokenFile* tokens : {&train, &val}) {
    for_each_piece(tokens->file(), [&](std::span<const std::byte> piece) { hash.update(piece); });
  }
  header.content_hash = hash.digest();
  header.header_hash = hash_of(header);

  const std::int64_t bytes =
      static_cast<std::int64_t>(sizeof header + text.size()) + train.file().bytes() + val.file().bytes();
  AtomicFile file(path, AtomicFile::Existing::replace, bytes);
  file.write(std::as_bytes(std::span(&header, 1)));
  file.write(text);
  for (TokenFile* tokens : {&train, &val}) {
    for_each_piece(tokens->file(), [&](std::span<const std::byte> piece) { file.write(piece); });
  }
  file.commit();
}

TokenCache read_token_cache(const std::string& path) {
  CacheFile file(path);
  if (file.size() < static_cast<std::int64_t>(sizeof(Header)))
    file.damaged("size", file.size(), sizeof(Header));
  Header header;
  file.read(std::as_writable_bytes(std::span(&header, 1)));
  check_header(file, header);

  Hasher hash;
  read_pieces(file, file.size() - static_cast<std::int64_t>(sizeof header),
              [&](std::span<const std::byte> piece) { hash.update(piece); });
  file.expect("contents hash", hash.digest(), header.content_hash);

  file.seek(sizeof header);
  std::string text(header.record_bytes, '\0');
  file.read(std::as_writable_bytes(std::span(text)));
  TokenCache cache;
  Dataset& dataset = cache.dataset;
  try {
    const json record = json::parse(text);
    dataset.vocab = Vocabulary::from_code_points(record.at("vocab").get<std::vector<std::int32_t>>());
    cache.rules = record.at("rules");
    cache.train_sources = sources_of(record.at("train_sources"));
    cache.val_sources = sources_of(record.at("val_sources"));
    dataset.report = record.at("report");
  } catch (const json::exception& error) {
    file.damaged("record", error.what(), "JSON");
  } catch (const CheckpointError& error) {
    file.damaged("vocabulary", error.what(), "-");
  }
  const auto dtype = static_cast<DType>(header.dtype);
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  const auto read_tokens = [&](std::int64_t count) {
    const std::int64_t begin = file.offset(), bytes = count * dtype_bytes(dtype);
    const auto read_into = [&](const auto& put) {
      file.seek(begin);
      read_pieces(file, bytes, [&](std::span<const std::byte> piece) {
        check_tokens(file, piece, dtype, dataset.vocab.size());
        put(piece);
      });
    };
    try {
      TokenFile tokens(parent.empty() ? "." : parent.string(), dtype);
      read_into([&](std::span<const std::byte> piece) { tokens.put(piece); });
      return tokens.array();
    } catch (const IoError&) {  // a disk that is full or only to be read is no reason not to read a run
      std::vector<std::byte> ids;
      ids.reserve(static_cast<std::size_t>(bytes));
      read_into([&](std::span<const std::byte> piece) { ids.insert(ids.end(), piece.begin(), piece.end()); });
      return token_array(dtype, ids);
    }
  };
  dataset.train = read_tokens(header.train_count);
  dataset.val = read_tokens(header.val_count);
  dataset.fingerprint = header.fingerprint;
  return cache;
}

}  // namespace zhgpt
