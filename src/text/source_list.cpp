// Which files a corpus consists of.
#include <dirent.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <utility>

#include "text/source.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

using FileId = std::pair<dev_t, ino_t>;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// The run of digits at the front of `text`, which is cut off it; without leading zeros.
std::string_view take_number(std::string_view& text) {
  std::size_t n = 0;
  while (n < text.size() && is_digit(text[n])) ++n;
  std::string_view number = text.substr(0, n);
  text.remove_prefix(n);
  while (number.size() > 1 && number[0] == '0') number.remove_prefix(1);
  return number;
}

int natural_compare(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    if (is_digit(a[0]) && is_digit(b[0])) {
      const std::string_view x = take_number(a), y = take_number(b);
      if (x.size() != y.size()) return x.size() < y.size() ? -1 : 1;
      if (const int order = x.compare(y)) return order;
    } else if (a[0] != b[0]) {
      return static_cast<unsigned char>(a[0]) < static_cast<unsigned char>(b[0]) ? -1 : 1;
    } else {
      a.remove_prefix(1);
      b.remove_prefix(1);
    }
  }
  return static_cast<int>(!a.empty()) - static_cast<int>(!b.empty());
}

std::string extension_of(const std::string& path) {
  const std::size_t name = path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1;
  const std::size_t dot = path.rfind('.');
  if (dot == std::string::npos || dot <= name) return "";
  std::string extension = path.substr(dot);
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 'a' - 'A') : c;
  return extension;
}

struct stat stat_of(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) throw_cannot_open(path, errno);
  return info;
}

// The .txt and .jsonl files under `directory`. `above` holds the directories that lead here: meeting one
// again means that links go in a circle.
void collect(const std::string& directory, std::vector<FileId> above, std::vector<std::string>& files) {
  const struct stat info = stat_of(directory);
  const FileId id{info.st_dev, info.st_ino};
  if (std::find(above.begin(), above.end(), id) != above.end()) {
    throw DataError(tr(Msg::corpus_directory_loop, directory));
  }
  above.push_back(id);
  DIR* stream = opendir(directory.c_str());
  if (stream == nullptr) throw_cannot_open(directory, errno);
  std::vector<std::string> names;
  while (const dirent* entry = readdir(stream)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  closedir(stream);
  for (const std::string& name : names) {
    const std::string path = directory.ends_with('/') ? directory + name : directory + "/" + name;
    const std::string extension = extension_of(name);
    struct stat entry {};
    if (stat(path.c_str(), &entry) == 0 && S_ISDIR(entry.st_mode)) {
      collect(path, above, files);
    } else if (extension == ".txt" || extension == ".jsonl") {
      files.push_back(path);
    }
  }
}

// A wait is cut into pieces, so that Ctrl-C is heard although no byte ever comes.
Source spool_standard_input(const std::string& scratch_directory, const BytesReadFunction& on_read) {
  constexpr int kWaitMilliseconds = 200;
  Source source{"<stdin>", SourceKind::text, 0, std::make_shared<ScratchFile>(scratch_directory)};
  std::vector<std::byte> buffer(kChunkBytes);
  std::int64_t just_read = 0;
  while (true) {
    if (on_read) on_read(std::exchange(just_read, 0));
    pollfd input{STDIN_FILENO, POLLIN, 0};
    const int ready = poll(&input, 1, kWaitMilliseconds);
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    const ssize_t n = read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw IoError(tr(Msg::corpus_read_failed, source.name, 0, std::strerror(errno)));
    if (n == 0) break;
    source.spooled->append(std::span(buffer).first(static_cast<std::size_t>(n)));
    just_read = n;
  }
  source.bytes = source.spooled->bytes();
  return source;
}

Source describe_file(const std::string& path, const struct stat& info) {
  if (!S_ISREG(info.st_mode)) throw DataError(tr(Msg::corpus_not_regular, path));
  const std::string extension = extension_of(path);
  if (extension == ".json") throw DataError(tr(Msg::corpus_is_json, path));
  return {path, extension == ".jsonl" ? SourceKind::jsonl : SourceKind::text, info.st_size, nullptr};
}

}  // namespace

bool natural_less(std::string_view a, std::string_view b) {
  const int order = natural_compare(a, b);
  return order != 0 ? order < 0 : a < b;
}

SourceList list_sources(const std::vector<std::string>& paths, const std::string& scratch_directory,
                        const BytesReadFunction& on_read) {
  SourceList list;
  std::set<FileId> seen;
  const auto add = [&](Source source) {
    if (source.bytes == 0) {
      list.notes.push_back(tr(Msg::corpus_file_empty, source.name));
    } else {
      list.sources.push_back(std::move(source));
    }
  };
  const auto add_file = [&](const std::string& path) {
    const struct stat info = stat_of(path);
    Source source = describe_file(path, info);
    if (seen.insert({info.st_dev, info.st_ino}).second) {
      add(std::move(source));
    } else {
      list.notes.push_back(tr(Msg::corpus_file_repeated, path));
    }
  };
  bool stdin_taken = false;
  for (const std::string& path : paths) {
    if (path == "-") {
      if (!std::exchange(stdin_taken, true)) add(spool_standard_input(scratch_directory, on_read));
      continue;
    }
    if (!S_ISDIR(stat_of(path).st_mode)) {
      add_file(path);
      continue;
    }
    std::vector<std::string> files;
    collect(path, {}, files);
    if (files.empty()) throw DataError(tr(Msg::corpus_directory_empty, path));
    std::sort(files.begin(), files.end(), natural_less);
    for (const std::string& file : files) add_file(file);
  }
  if (list.sources.empty()) throw DataError(tr(Msg::corpus_nothing_to_read, list.notes.size()));
  return list;
}

}  // namespace zhgpt
