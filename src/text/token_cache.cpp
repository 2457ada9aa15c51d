#include "text/token_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
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

  void read(std::span<std::byte> to) {
    while (!to.empty()) {
      const ssize_t n = ::read(fd_, to.data(), to.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw IoError(tr(Msg::corpus_read_failed, path_, 0, std::strerror(errno)));
      if (n == 0) damaged("size", size_ - static_cast<std::int64_t>(to.size()), size_);
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
  std::int64_t size_ = 0;
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

TokenArray read_tokens(CacheFile& file, DType dtype, std::int64_t count, Hasher& hash) {
  TokenArray tokens{dtype, count,
                    std::vector<std::byte>(static_cast<std::size_t>(count * dtype_bytes(dtype)))};
  file.read(tokens.bytes);
  hash.update(tokens.bytes);
  return tokens;
}

}  // namespace

std::string token_cache_path(const std::string& run_dir) {
  return run_dir + "/corpus.tokens";
}

void write_token_cache(const std::string& path, const TokenCache& cache) {
  const Dataset& dataset = cache.dataset;
  const json record = {{"vocab", dataset.vocab.code_points()},
                       {"rules", cache.rules},
                       {"train_sources", to_json(cache.train_sources)},
                       {"val_sources", to_json(cache.val_sources)},
                       {"report", dataset.report}};
  // File names need not be UTF-8.
  const std::string text = record.dump(-1, ' ', false, json::error_handler_t::replace);

  Header header;
  header.dtype = static_cast<std::uint32_t>(dataset.train.dtype);
  header.train_count = dataset.train.count;
  header.val_count = dataset.val.count;
  header.fingerprint = dataset.fingerprint;
  header.record_bytes = text.size();
  Hasher hash;
  const std::span<const std::byte> parts[] = {std::as_bytes(std::span(text)), dataset.train.bytes,
                                              dataset.val.bytes};
  std::int64_t bytes = sizeof header;
  for (const auto part : parts) {
    hash.update(part);
    bytes += static_cast<std::int64_t>(part.size());
  }
  header.content_hash = hash.digest();
  header.header_hash = hash_of(header);

  AtomicFile file(path, AtomicFile::Existing::replace, bytes);
  file.write(std::as_bytes(std::span(&header, 1)));
  for (const auto part : parts) file.write(part);
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
  std::string text(header.record_bytes, '\0');
  file.read(std::as_writable_bytes(std::span(text)));
  hash.update(std::as_bytes(std::span(text)));
  TokenCache cache;
  Dataset& dataset = cache.dataset;
  const auto dtype = static_cast<DType>(header.dtype);
  dataset.train = read_tokens(file, dtype, header.train_count, hash);
  dataset.val = read_tokens(file, dtype, header.val_count, hash);
  dataset.fingerprint = header.fingerprint;
  file.expect("contents hash", hash.digest(), header.content_hash);

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
  // A token outside the vocabulary would index outside the model's tables.
  for (const TokenArray* tokens : {&dataset.train, &dataset.val}) {
    for (std::int64_t i = 0; i < tokens->count; ++i) {
      const std::int64_t id = (*tokens)[i];
      if (id < 0 || id >= dataset.vocab.size()) file.damaged("token", id, dataset.vocab.size());
    }
  }
  return cache;
}

}  // namespace zhgpt
